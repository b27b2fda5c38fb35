//! Where the functions of the vDSO are, and what to put in their place. Pure: works on the bytes of the image.

use super::arch::{CLOCKS, refusal, system_call};

/// Code to put at an offset of the image.
#[derive(Debug, PartialEq, Eq)]
pub struct Stub {
    /// Offset from the start of the image, in bytes.
    pub offset: usize,
    /// Machine code.
    pub code: Vec<u8>,
}

/// The stubs for an image, of which at least the headers, the dynamic symbols and their names lie within `image`.
///
/// # Errors
/// Where it is not a 64-bit little-endian ELF image with dynamic symbols.
pub fn stubs(image: &[u8]) -> Result<Vec<Stub>, String> {
    let (symbols, names) = tables(image).ok_or("the vDSO is not an ELF image with symbols")?;
    let mut stubs = Vec::new();
    for entry in (symbols..names).step_by(24) {
        let Some(name) = number(image, entry, 4).and_then(|at| text(image, names + at)) else { break };
        let Some(offset) = number(image, entry + 8, 8).filter(|&offset| offset != 0) else { continue };
        if let Some((_, call)) = CLOCKS.iter().find(|(clock, _)| *clock == name) {
            stubs.push(Stub { offset, code: system_call(*call) });
        } else if name == "__vdso_getrandom" {
            stubs.push(Stub { offset, code: refusal() });
        }
    }
    Ok(stubs)
}

/// The size of the mapping that the image is in, in bytes: whole pages. The kernel lets the protection of all of it be changed, or
/// of none.
#[must_use]
pub fn size(image: &[u8]) -> Option<usize> {
    segments(image)?.filter(|&at| number(image, at, 4) == Some(LOAD)).try_fold(0, |size, at| {
        let end = number(image, at + 16, 8)? + number(image, at + 40, 8)?;
        Some(size.max(end.next_multiple_of(4096)))
    })
}

/// Types of program headers.
const LOAD: usize = 1;
const DYNAMIC: usize = 2;

/// Offsets of the program headers.
fn segments(image: &[u8]) -> Option<impl Iterator<Item = usize>> {
    if image.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (headers, size, count) = (number(image, 32, 8)?, number(image, 54, 2)?, number(image, 56, 2)?);
    Some((0..count).map(move |index| headers + index * size))
}

/// Offsets of the dynamic symbol table and of its names, which follow it in the image.
fn tables(image: &[u8]) -> Option<(usize, usize)> {
    let dynamic = segments(image)?.find(|&at| number(image, at, 4) == Some(DYNAMIC))?;
    let mut entry = number(image, dynamic + 8, 8)?;
    let (mut symbols, mut names) = (None, None);
    loop {
        match (number(image, entry, 8)?, number(image, entry + 8, 8)?) {
            (0, _) => break,
            (5, value) => names = Some(value),
            (6, value) => symbols = Some(value),
            _ => {}
        }
        entry += 16;
    }
    Some((symbols?, names?)).filter(|(symbols, names)| symbols < names)
}

fn number(image: &[u8], at: usize, bytes: usize) -> Option<usize> {
    let field = image.get(at..at + bytes)?;
    Some(field.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

fn text(image: &[u8], at: usize) -> Option<&str> {
    let rest = image.get(at..)?;
    std::str::from_utf8(&rest[..rest.iter().position(|byte| *byte == 0)?]).ok()
}

#[cfg(test)]
mod tests {
    use super::stubs;

    #[test]
    fn what_is_not_an_image_is_refused() {
        assert!(stubs(&[0; 4096]).is_err());
        assert!(stubs(b"\x7fELF\x02\x01").is_err());
    }
}
