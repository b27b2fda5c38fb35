//! A store is for all threads of a process. In a file of its own, because where it is not, this does not compile.

use cooks_core::{Metadata, Store};
use serde_json::{Value, json};

fn count_up(metadata: &mut Metadata, key: &str) {
    let count = metadata.get(key).and_then(Value::as_u64).unwrap_or(0);
    metadata.insert(key.to_owned(), json!(count + 1));
}

#[test]
fn a_store_can_be_sent_to_other_threads_and_shared_with_them() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Store>();
}

#[test]
fn threads_that_share_a_store_lose_no_update() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(&dir).expect("opens");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let agent = store.agent("all").expect("all");
                    agent.update(|metadata| count_up(metadata, "all")).expect("updates");
                }
            });
        }
    });
    assert_eq!(store.load().expect("loads").get("all"), Some(&json!(80)));
}
