/* An interpreter of scripts of system calls. A line is one call, raw:
 *
 *     [N=]name argument ...
 *
 * N= puts what it gives into register N. Arguments:
 *     17, 0644, O_RDWR|O_CREAT   a number      $N              what register N holds
 *     'text                      a string      NULL
 *     %N                         room for N bytes, printed as far as they are filled
 *     stat% statx% dents% dents64% int%        room for what it says, printed in words
 *     lock:TYPE,WHENCE,START,LENGTH            struct flock, printed by the F_GETLKs
 *     @A                         the id of process A
 *     msg:TEXT  msg%N            struct msghdr of one part
 *     poll:FD,EVENTS  times:SECONDS (of both)  iov:TEXT  iov%N  at:OFFSET (a pointer)  un:PATH  how:FLAGS,MODE  int:N  utime:SECONDS
 *
 * A line `catch SIGNAL` is no call: the process catches this signal from its beginning on, and prints at its end whether it came. (Not when:
 * under `cooks` a handler runs in front of an operation, and not every call is one. Nor how often: a signal that waits comes once.)
 *
 * `kernel run FILE [ID ...]` makes the calls of a script and prints what they gave, the processes having these ids; `kernel all` is the
 * reference (reference.c). */
#include "kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include <utime.h>

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

long registers[REGISTERS] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
static int own_ids[3];
volatile int *ids = own_ids;

static const struct { const char *name; long value; } flags[] = {
#define FLAG(name) {#name, (long)name},
#include "flags.h"
#undef FLAG
    {"XATTR_CREATE", 1}, {"XATTR_REPLACE", 2},
};

static const struct { const char *name; long number; } calls[] = {
#define CALL(name) {#name, SYS_##name},
#include "calls.h"
#undef CALL
};

void give_up(const char *why) {
    dprintf(2, "kernel: %s (%s)\n", why, strerror(errno));
    _exit(99);
}

void say(struct text *to, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(to->at + to->length, to->size - to->length, format, arguments);
    va_end(arguments);
    if (length < 0 || to->length + (size_t)length >= to->size) give_up("too much is said");
    to->length += (size_t)length;
}

void say_bytes(struct text *to, const void *bytes, size_t count) {
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < count; i++) {
        size_t run = 1;
        while (i + run < count && byte[i + run] == byte[i]) run++;
        if (byte[i] > ' ' && byte[i] < 127 && byte[i] != '\\') say(to, "%c", byte[i]);
        else say(to, "\\%02x", byte[i]);
        if (run > 4) {
            say(to, "{%zu}", run);
            i += run - 1;
        }
    }
}

void add_line(struct script *script, const char *line, size_t length) {
    if (script->count == MOST_CALLS || length >= LONGEST_LINE) give_up("a script is too long");
    memcpy(script->line[script->count], line, length);
    script->line[script->count++][length] = 0;
}

const char *time_class(long seconds) {
    static char set[24];
    if (seconds == OLD) return "old";
    if (seconds > OLD + 1000) return "new";
    snprintf(set, sizeof set, "%ld", seconds);
    return set;
}

/* How a number is written in a script. */
static long number(const char *word) {
    long value = 0;
    while (*word) {
        size_t length = strcspn(word, "|");
        if (*word == '@') value = ids[word[1] - 'A'];
        else if (*word == '$') value |= registers[word[1] - '0'];
        else if ((*word >= '0' && *word <= '9') || *word == '-') value |= strtol(word, NULL, 0);
        else {
            size_t i = 0, count = sizeof flags / sizeof *flags;
            while (i < count && (strlen(flags[i].name) != length || memcmp(flags[i].name, word, length))) i++;
            if (i == count) give_up(word);
            value |= flags[i].value;
        }
        word += length + (word[length] == '|');
    }
    return value;
}

/* Inodes that this process has seen, in the order in which it first saw them. */
static unsigned long seen_inodes[64];

static int inode(unsigned long number) {
    int at = 0;
    while (at < 63 && seen_inodes[at] && seen_inodes[at] != number) at++;
    seen_inodes[at] = number;
    return at;
}

static void say_status(struct text *out, const struct stat *status) {
    int is_directory = S_ISDIR(status->st_mode);
    say(out, " #%d mode=%o owner=%d:%d", inode(status->st_ino), status->st_mode, status->st_uid, status->st_gid);
    /* A directory has the same size and number of links for everybody; its times are those of the changes that come before the look in
     * the partial order, as those of a FIFO are. */
    if (!is_directory) say(out, " links=%ld size=%ld", (long)status->st_nlink, (long)status->st_size);
    if (!is_directory && !S_ISFIFO(status->st_mode)) say(out, " %s", time_class(status->st_mtime));
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void say_names(struct text *out, const char *buffer, long length, int is_old) {
    const char *names[64];
    int count = 0;
    for (long at = 0; at < length && count < 64;) {
        const char *entry = buffer + at;
        unsigned short size;
        memcpy(&size, entry + 16, 2);
        names[count++] = entry + (is_old ? 18 : 19);
        at += size;
    }
    qsort(names, (size_t)count, sizeof *names, by_name);
    for (int i = 0; i < count; i++) say(out, " %s", names[i]);
}

/* One argument: its value, and what is to be printed of it when the call has been made. */
struct argument {
    long value;
    enum { NOTHING, BYTES, STATUS, STATX, NAMES, OLD_NAMES, INTEGER, LOCK, POLLS, OFFSET, VECTOR, MESSAGE } kind;
};

/* Room for what the arguments of a call point to. */
static _Alignas(16) char room[6][70000];

static const char *after(const char *word, const char *prefix) {
    size_t length = strlen(prefix);
    return strncmp(word, prefix, length) ? NULL : word + length;
}

/* The numbers of a list that commas separate. */
static void numbers(const char *list, long *into, int count) {
    char copy[LONGEST_LINE], *rest = copy, *word;
    snprintf(copy, sizeof copy, "%s", list);
    for (int i = 0; i < count; i++) into[i] = (word = strsep(&rest, ",")) ? number(word) : 0;
}

static struct argument structure(const char *word, char *at) {
    struct argument is = {(long)at, NOTHING};
    const char *rest;
    long given[4];
    if ((rest = after(word, "lock:"))) {
        numbers(rest, given, 4);
        struct flock lock = {.l_type = (short)given[0], .l_whence = (short)given[1], .l_start = given[2], .l_len = given[3]};
        memcpy(at, &lock, sizeof lock);
        is.kind = LOCK;
    } else if ((rest = after(word, "poll:"))) {
        numbers(rest, given, 2);
        struct pollfd poll = {.fd = (int)given[0], .events = (short)given[1]};
        memcpy(at, &poll, sizeof poll);
        is.kind = POLLS;
    } else if ((rest = after(word, "times:"))) {
        struct timespec times[2] = {{number(rest), 0}, {number(rest), 0}};
        memcpy(at, times, sizeof times);
    } else if ((rest = after(word, "utime:"))) {
        struct utimbuf times = {number(rest), number(rest)};
        memcpy(at, &times, sizeof times);
    } else if ((rest = after(word, "iov:"))) {
        char *bytes = strcpy(at + sizeof(struct iovec), rest);
        struct iovec vector = {bytes, strlen(bytes)};
        memcpy(at, &vector, sizeof vector);
    } else if ((rest = after(word, "iov%"))) {
        struct iovec vector = {at + sizeof vector, (size_t)number(rest)};
        memcpy(at, &vector, sizeof vector);
        is.kind = VECTOR;
    } else if ((rest = after(word, "msg:")) || (rest = after(word, "msg%"))) {
        struct iovec *vector = (struct iovec *)(at + sizeof(struct msghdr));
        char *bytes = (char *)(vector + 1);
        int is_room = word[3] == '%';
        *vector = (struct iovec){bytes, is_room ? (size_t)number(rest) : strlen(rest)};
        if (is_room) is.kind = MESSAGE;
        else strcpy(bytes, rest);
        *(struct msghdr *)at = (struct msghdr){.msg_iov = vector, .msg_iovlen = 1};
    } else if ((rest = after(word, "at:"))) {
        long offset = number(rest);
        memcpy(at, &offset, sizeof offset);
        is.kind = OFFSET;
    } else if ((rest = after(word, "un:"))) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        strncpy(address.sun_path, rest, sizeof address.sun_path - 1);
        memcpy(at, &address, sizeof address);
    } else if ((rest = after(word, "how:"))) {
        numbers(rest, given, 2);
        struct open_how how = {.flags = (unsigned long)given[0], .mode = (unsigned long)given[1]};
        memcpy(at, &how, sizeof how);
    } else if ((rest = after(word, "int:"))) {
        int value = (int)number(rest);
        memcpy(at, &value, sizeof value);
    } else {
        is.value = number(word);
    }
    return is;
}

static struct argument argument(const char *word, char *at) {
    static const struct { const char *word; int kind; } rooms[] = {
        {"stat%", STATUS}, {"statx%", STATX}, {"dents%", OLD_NAMES}, {"dents64%", NAMES}, {"int%", INTEGER},
    };
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
        if (!strcmp(word, rooms[i].word)) return (struct argument){(long)at, rooms[i].kind};
    if (!strcmp(word, "NULL")) return (struct argument){0, NOTHING};
    if (*word == '\'') return (struct argument){(long)strcpy(at, word + 1), NOTHING};
    if (*word == '%') return (struct argument){(long)at, BYTES};
    return structure(word, at);
}

static void say_argument(struct text *out, struct argument is, const char *call, long request, long result) {
    switch (is.kind) {
    case BYTES: say(out, " "), say_bytes(out, (char *)is.value, (size_t)result); break;
    case VECTOR: say(out, " "), say_bytes(out, (char *)is.value + sizeof(struct iovec), (size_t)result); break;
    case MESSAGE: say(out, " "), say_bytes(out, ((struct msghdr *)is.value)->msg_iov->iov_base, (size_t)result); break;
    case STATUS: say_status(out, (struct stat *)is.value); break;
    case STATX: {
        struct statx *all = (struct statx *)is.value;
        struct stat status = {.st_ino = all->stx_ino, .st_mode = all->stx_mode, .st_uid = all->stx_uid, .st_gid = all->stx_gid,
                              .st_nlink = all->stx_nlink, .st_size = (long)all->stx_size, .st_mtime = all->stx_mtime.tv_sec};
        say_status(out, &status);
        break;
    }
    case NAMES: say_names(out, (char *)is.value, result, 0); break;
    case OLD_NAMES: say_names(out, (char *)is.value, result, 1); break;
    case INTEGER: say(out, " %d", *(int *)is.value); break;
    case LOCK: {
        struct flock *lock = (struct flock *)is.value;
        if (!strcmp(call, "fcntl") && (request == F_GETLK || request == F_OFD_GETLK)) {
            say(out, " type=%d", lock->l_type);
            if (lock->l_type != F_UNLCK) say(out, " %ld+%ld", (long)lock->l_start, (long)lock->l_len);
        }
        break;
    }
    case POLLS: say(out, " events=%x", ((struct pollfd *)is.value)->revents); break;
    case OFFSET: say(out, " at=%ld", *(long *)is.value); break;
    case NOTHING: break;
    }
}

static long number_of(const char *name) {
    size_t i = 0;
    while (i < sizeof calls / sizeof *calls && strcmp(calls[i].name, name)) i++;
    if (i == sizeof calls / sizeof *calls) give_up(name);
    return calls[i].number;
}

void make_call(const char *line, struct text *out) {
    char copy[LONGEST_LINE], *rest = copy, *word;
    snprintf(copy, sizeof copy, "%s", line);
    int into = REGISTER_NONE;
    if (copy[0] >= '0' && copy[0] <= '9' && copy[1] == '=') into = copy[0] - '0', rest += 2;
    const char *name = strsep(&rest, " ");
    struct argument arguments[6] = {0};
    int count = 0;
    while (count < 6 && (word = strsep(&rest, " "))) {
        arguments[count] = argument(word, room[count]);
        count++;
    }
    /* Room for N bytes has N as the next argument, which is written once. */
    long number = number_of(name), result = syscall(number, arguments[0].value, arguments[1].value, arguments[2].value,
                                                     arguments[3].value, arguments[4].value, arguments[5].value);
    if (into != REGISTER_NONE) registers[into] = result;
    say(out, "%s", name);
    if (result < 0) {
        say(out, " %s;", strerrorname_np(errno));
        return;
    }
    int is_listing = !strncmp(name, "getdents", 8);
    if (!strcmp(name, "getcwd")) say(out, " %s;", strrchr(room[0], '/') + 1);
    else {
        if (is_listing) say(out, " %s", result ? "some" : "0");
        else say(out, " %ld", result);
        for (int i = 0; i < count; i++) say_argument(out, arguments[i], name, arguments[1].value, result);
        say(out, ";");
    }
}

int is_catch(const char *line) {
    return !strncmp(line, "catch ", 6);
}

static int own_caught;
volatile int *caught = &own_caught;
/* Whether all is printed, except for signals that come now. */
static int is_printed;

static void on_signal(int number) {
    (void)number;
    if (!(*caught)++ && is_printed && write(1, CAUGHT, sizeof CAUGHT - 1) < 0) _exit(97);
}

void catch_signal(const char *line) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (sigaction((int)number(line + 6), &action, NULL)) give_up(line);
}

static int run(const char *path) {
    static char source[MOST_CALLS * LONGEST_LINE], output[OUTPUT];
    static struct text out = {0, sizeof output, output};
    int file = open(path, O_RDONLY);
    long length = file < 0 ? -1 : read(file, source, sizeof source - 1);
    if (length < 0) give_up("the script cannot be read");
    close(file);
    signal(SIGPIPE, SIG_IGN);
    for (char *rest = source, *line; (line = strsep(&rest, "\n"));)
        if (is_catch(line)) catch_signal(line);
        else if (*line) make_call(line, &out);
    if (*caught) say(&out, CAUGHT);
    is_printed = 1;
    if (out.length && write(1, output, out.length) != (long)out.length) return 98;
    return 0;
}

int main(int count, char **words) {
    for (int i = 3; i < count && i < 6; i++) own_ids[i - 3] = atoi(words[i]);
    if (count >= 3 && !strcmp(words[1], "run")) return run(words[2]);
    if (count == 2 && !strcmp(words[1], "all")) return serve();
    dprintf(2, "usage: kernel run FILE [ID ...] | kernel all\n");
    return 2;
}
