/* A litmus program as a process of its own: its arguments are the number of files that are there, then its instructions, one each.
   It does what the machine in ../machine does, and prints its registers as that does. */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REGISTERS = 8, DESCRIPTORS = 1024 };

static int64_t registers[REGISTERS];
static int files[DESCRIPTORS]; /* the initial ones and those opened since; -1: not yet opened */
static int64_t count;
static int held[DESCRIPTORS]; /* the description that a file is locked by; each lock has one of its own */
static char *word;            /* where the instruction is read */

static void must(int holds, const char *what) {
    if (!holds) {
        perror(what);
        exit(70);
    }
}

static char *next_word(void) {
    char *found = strsep(&word, " ");
    must(found != NULL, "an instruction is too short");
    return found;
}

static int64_t number(void) {
    char *text = next_word();
    if (text[1] == 0 && strchr("r+*%", *text)) {
        int64_t left = number();
        if (*text == 'r')
            return registers[left];
        int64_t right = number();
        if (*text == '+')
            return left + right;
        if (*text == '*')
            return left * right;
        return ((left % right) + right) % right;
    }
    return strtoll(text, NULL, 10);
}

static void name(char *into, size_t size) {
    char *stem = next_word();
    if (word[0] == '.') {
        next_word();
        snprintf(into, size, "%s", stem);
    } else {
        snprintf(into, size, "%s%lld", stem, (long long)number());
    }
}

static int initial(int64_t file, int how) {
    char path[32];
    snprintf(path, sizeof path, "#%lld", (long long)file);
    int opened = open(path, how | O_CLOEXEC);
    must(opened >= 0, path);
    return opened;
}

/* The descriptor of a file; -1 where the number is none's. */
static int descriptor(int64_t file) {
    if (file < 0 || file >= count)
        return -1;
    if (files[file] < 0)
        files[file] = initial(file, O_RDWR);
    return files[file];
}

static int64_t load(int file, int64_t otherwise) {
    int64_t value = 0;
    if (file < 0)
        return otherwise;
    ssize_t length = pread(file, &value, sizeof value, 0);
    must(length >= 0, "pread");
    return length == sizeof value ? value : 0;
}

static void store(int file, int64_t value) {
    if (file >= 0)
        must(pwrite(file, &value, sizeof value, 0) == sizeof value, "pwrite");
}

static void append(int64_t file) {
    int opened = initial(file, O_WRONLY | O_APPEND);
    must(write(opened, "+", 1) == 1, "write");
    close(opened);
}

static int64_t lock(int64_t file, int how) {
    int opened = initial(file, O_RDWR);
    if (flock(opened, how) < 0) {
        must(how & LOCK_NB, "flock");
        close(opened);
        return -1;
    }
    held[file] = opened;
    return 1;
}

static void unlock(int64_t file) {
    if (held[file] < 0)
        return;
    must(flock(held[file], LOCK_UN) == 0, "flock");
    close(held[file]);
    held[file] = -1;
}

static int64_t create(const char *path) {
    int opened = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (opened >= 0)
        close(opened);
    return opened < 0 ? -1 : 1;
}

static int64_t open_for_good(const char *path, int how) {
    int opened = open(path, O_RDWR | O_CLOEXEC | how, 0666);
    if (opened < 0)
        return -1;
    must(count < DESCRIPTORS, "too many files");
    files[count] = opened;
    return count++;
}

static int is(const char *what, const char *instruction) { return strcmp(what, instruction) == 0; }

/* Does an operation on names, and gives its result. */
static int64_t on_names(const char *what) {
    char path[64], to[64];
    struct stat status;
    name(path, sizeof path);
    if (is(what, "create"))
        return create(path);
    if (is(what, "unlink"))
        return unlink(path) ? -1 : 1;
    if (is(what, "stat"))
        return lstat(path, &status) == 0;
    if (is(what, "open")) {
        int how = number() ? O_CREAT : 0;
        return open_for_good(path, number() ? how | O_TRUNC : how);
    }
    must(is(what, "rename"), what);
    name(to, sizeof to);
    return rename(path, to) ? -1 : 1;
}

/* Does an instruction, and says where to go on. */
static int64_t step(int64_t next) {
    const char *what = next_word();
    if (is(what, "exit"))
        return INT64_MAX;
    if (is(what, "less") || is(what, "equal") || is(what, "greater")) {
        int64_t left = number(), right = number(), to = number();
        return (*what == 'l' ? left < right : *what == 'e' ? left == right : left > right) ? to : next;
    }
    if (is(what, "set")) {
        int64_t into = number();
        registers[into] = number();
    } else if (is(what, "load")) {
        int file = descriptor(number());
        int64_t into = number();
        registers[into] = load(file, registers[into]);
    } else if (is(what, "store")) {
        int64_t file = number();
        store(descriptor(file), number());
    } else if (is(what, "append")) {
        append(number());
    } else if (is(what, "lock") || is(what, "lock_shared")) {
        lock(number(), is(what, "lock") ? LOCK_EX : LOCK_SH);
    } else if (is(what, "try_lock") || is(what, "try_lock_shared")) {
        int64_t taken = lock(number(), LOCK_NB | (is(what, "try_lock") ? LOCK_EX : LOCK_SH));
        registers[number()] = taken;
    } else if (is(what, "unlock")) {
        unlock(number());
    } else {
        int64_t result = on_names(what);
        registers[number()] = result;
    }
    return next;
}

static void print(void) {
    char line[256];
    int length = 0;
    for (int at = 0; at < REGISTERS; at++)
        length += snprintf(line + length, sizeof line - length, "%s%lld", at ? ", " : "[", (long long)registers[at]);
    length += snprintf(line + length, sizeof line - length, "]");
    must(write(STDOUT_FILENO, line, length) == length, "write");
}

int main(int arguments, char **words) {
    must(arguments > 1, "how many files?");
    count = strtoll(words[1], NULL, 10);
    memset(files, -1, sizeof files);
    memset(held, -1, sizeof held);
    char line[256];
    for (int64_t at = 0; at < arguments - 2;) {
        snprintf(line, sizeof line, "%s", words[at + 2]);
        word = line;
        at = step(at + 1);
    }
    print();
    return 0;
}
