/* The reference: runs scripts in chosen orders for real. It knows nothing of what calls do.
 *
 * A job comes on standard input: a line `pair` or `all`, then scripts, each after a line that is a capital letter alone (`S`
 * makes the world), then a line `.`. `end` is the last. A script of a pair has a line `--` between what goes before and the call in question.
 *
 * Each process is a child that waits for a token before each call and before its end. A child that sleeps within a call is blocked: it
 * sleeps nowhere else between the beginning and the end of a call. */
#include "kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MOST_PROCESSES = 3, MOST_STEPS = 40, MOST_SCHEDULES = 20000, LONGEST_OUTCOME = 60000, TOKEN = 200, BEHIND = 201 };

/* What a child tells: 2n+1 within its call n, 2n+2 behind it; 0 when it is ready. */
struct told {
    volatile int phase, caught;
    struct text out;
    char output[OUTPUT];
};

struct child {
    int pid, tokens, next, split, signal;
    /* A child that is dying was killed, and stays until it is waited for. */
    enum { IDLE, BLOCKED, DYING, OVER } state;
    struct script script;
    struct told *told;
};

static struct script world;
static struct child children[MOST_PROCESSES];
static int count;
/* Whether a script sends signals. */
static int with_signals;
/* A byte for each call that a child is behind. */
static int behind[2];
static char base[64];
static struct text observed;

/* Inodes with a name for each, so that runs can be compared. */
static struct { unsigned long inode; char name[100]; } labels[200];
static int labelled, fresh;

static const char *label(unsigned long inode) {
    for (int i = 0; i < labelled; i++)
        if (labels[i].inode == inode) return labels[i].name;
    if (labelled == 200) give_up("too many inodes");
    labels[labelled].inode = inode;
    snprintf(labels[labelled].name, sizeof labels->name, "new%d", fresh++);
    return labels[labelled++].name;
}

/* Trees. */

static int is_name(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

/* Shows each path below `path` after it, sorted; what is in a directory comes behind it, or, in order to remove, before. */
static void walk(const char *path, int is_last, void (*show)(const char *path, const struct stat *status)) {
    struct dirent **entries;
    int found = scandir(path, &entries, is_name, alphasort);
    for (int i = 0; i < found; i++) {
        char below[300];
        struct stat status;
        snprintf(below, sizeof below, "%s%s%s", strcmp(path, ".") ? path : "", strcmp(path, ".") ? "/" : "", entries[i]->d_name);
        free(entries[i]);
        if (lstat(below, &status)) give_up(below);
        if (!is_last) show(below, &status);
        if (S_ISDIR(status.st_mode)) walk(below, is_last, show);
        if (is_last) show(below, &status);
    }
    if (found >= 0) free(entries);
}

static void unprotect(const char *path) {
    int none = 0, file = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
    if (file >= 0) ioctl(file, FS_IOC_SETFLAGS, &none), close(file);
}

static void remove_one(const char *path, const struct stat *status) {
    if (S_ISDIR(status->st_mode) || S_ISREG(status->st_mode))
        if (faccessat(AT_FDCWD, path, W_OK, 0)) unprotect(path);
    if (remove(path) == 0) return;
    unprotect(".");
    if (strrchr(path, '/')) {
        char parent[300];
        snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(path, '/') - path), path);
        unprotect(parent);
    }
    unprotect(path);
    if (remove(path)) give_up(path);
}

static void remove_beside(const char *path, const struct stat *status) {
    if (strcmp(path, "workspace")) remove_one(path, status);
}

static void make_old(const char *path, const struct stat *status) {
    struct timespec times[2] = {{OLD, 0}, {OLD, 0}};
    (void)status;
    utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static void name_inode(const char *path, const struct stat *status) {
    for (int i = 0; i < labelled; i++)
        if (labels[i].inode == status->st_ino) return;
    labels[labelled].inode = status->st_ino;
    snprintf(labels[labelled++].name, sizeof labels->name, "<%s>", path);
}

static void say_content(const char *path) {
    static char content[1 << 18];
    int file = open(path, O_RDONLY | O_NOFOLLOW | O_NOATIME);
    long length = file < 0 ? -1 : read(file, content, sizeof content);
    if (file >= 0) close(file);
    if (length < 0 || length == sizeof content) give_up(path);
    say_bytes(&observed, content, (size_t)length);
}

/* What an outcome of `cooks` tells of a path. */
static void say_entry(const char *path, const struct stat *status) {
    char target[300] = "";
    say(&observed, " %s", path);
    if (S_ISREG(status->st_mode)) say(&observed, ":%o:", status->st_mode & 07777), say_content(path);
    else if (S_ISDIR(status->st_mode)) say(&observed, "/%o", status->st_mode & 07777);
    else if (S_ISLNK(status->st_mode)) {
        if (readlink(path, target, sizeof target - 1) < 0) give_up(path);
        say(&observed, "->%s", target);
    } else say(&observed, "?%s:%o", S_ISFIFO(status->st_mode) ? "fifo" : "socket", status->st_mode & 07777);
}

/* All that a process could find out of a path. */
static void say_everything(const char *path, const struct stat *status) {
    char names[500], value[500];
    say_entry(path, status);
    say(&observed, " %s %d:%d %s", label(status->st_ino), status->st_uid, status->st_gid, time_class(status->st_mtime));
    if (!S_ISDIR(status->st_mode)) say(&observed, " links=%ld size=%ld", (long)status->st_nlink, (long)status->st_size);
    if (S_ISREG(status->st_mode)) say(&observed, " blocks=%ld", (long)status->st_blocks);
    long length = llistxattr(path, names, sizeof names);
    for (char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
        long size = lgetxattr(path, name, value, sizeof value);
        say(&observed, " %s=", name);
        say_bytes(&observed, value, size < 0 ? 0 : (size_t)size);
    }
    int flags = 0, file = S_ISREG(status->st_mode) || S_ISDIR(status->st_mode) ? open(path, O_RDONLY | O_NOATIME) : -1;
    if (file >= 0 && !ioctl(file, FS_IOC_GETFLAGS, &flags) && flags) say(&observed, " flags=%x", flags);
    if (file >= 0) close(file);
    say(&observed, "\\n");
}

/* Children. */

static void child(struct child *self, int tokens) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    if (dup2(tokens, TOKEN) < 0 || dup2(behind[1], BEHIND) < 0) give_up("child");
    if (close_range(3, TOKEN - 1, 0) || close_range(BEHIND + 1, ~0U, 0)) give_up("child");
    char token;
    int i = 0;
    caught = &self->told->caught;
    while (i < self->script.count && is_catch(self->script.line[i])) catch_signal(self->script.line[i++]);
    self->told->phase = 2 * i;
    for (; read(TOKEN, &token, 1) == 1 && i < self->script.count; i++) {
        self->told->phase = 2 * i + 1;
        make_call(self->script.line[i], &self->told->out);
        self->told->phase = 2 * i + 2;
        if (write(BEHIND, "b", 1) != 1) give_up("child");
    }
    _exit(0);
}

static char state_of(int pid) {
    char path[40], line[300];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int file = open(path, O_RDONLY);
    long length = file < 0 ? 0 : read(file, line, sizeof line - 1);
    if (file >= 0) close(file);
    line[length < 0 ? 0 : length] = 0;
    char *end = strrchr(line, ')');
    return end ? end[2] : 'Z';
}

/* Waits until a child that is within a call is behind it, or sleeps in it. Whether it is behind it. */
static int settle(struct child *one) {
    for (;;) {
        if (one->told->phase == 2 * one->next + 2) {
            one->next++;
            one->state = IDLE;
            return 1;
        }
        char bytes[16];
        struct pollfd behind_it = {behind[0], POLLIN, 0};
        if (poll(&behind_it, 1, 1) == 1) {
            if (read(behind[0], bytes, sizeof bytes) < 1) give_up("a child cannot be heard");
            continue;
        }
        char state = state_of(one->pid);
        if (state == 'Z') {
            if (!with_signals) give_up(one->told->output);
            one->state = DYING;
            return 1;
        }
        if (state == 'S' && one->told->phase == 2 * one->next + 1) {
            one->state = BLOCKED;
            return 0;
        }
    }
}

/* Those that a step has woken run to where they stand. */
static void settle_others(void) {
    for (int i = 0; i < count; i++)
        if (children[i].state == BLOCKED && settle(&children[i])) i = -1;
    /* A signal makes its target runnable before the sender's call returns. */
    for (int i = 0; with_signals && i < count; i++) {
        char state = 'R';
        while (children[i].state == IDLE && state != 'S' && state != 'Z') {
            sched_yield();
            state = state_of(children[i].pid);
        }
        if (state == 'Z') children[i].state = DYING;
    }
}

static void end(struct child *one) {
    int status;
    if (one->state != DYING && write(one->tokens, "t", 1) != 1) give_up("a child cannot be told to end");
    if (waitpid(one->pid, &status, 0) != one->pid) give_up("a child cannot be ended");
    one->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    one->state = OVER;
}

static void step(struct child *one) {
    if (one->state == DYING || one->next == one->script.count) end(one);
    else {
        if (write(one->tokens, "t", 1) != 1) give_up("a child cannot be told");
        settle(one);
    }
    settle_others();
}

static void make_world(void) {
    static char output[OUTPUT];
    int pid = fork();
    if (pid < 0) give_up("fork");
    if (!pid) {
        struct text out = {0, sizeof output, output};
        close_range(3, ~0U, 0);
        for (int i = 0; i < world.count; i++) {
            size_t before = out.length;
            make_call(world.line[i], &out);
            char *said = strchr(output + before, ' ');
            if (said && said[1] == 'E') give_up(world.line[i]);
        }
        _exit(0);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid || status) give_up("a world cannot be made");
}

static void begin(void) {
    chmod(".", 0755);
    make_world();
    labelled = fresh = 0;
    for (int i = 0; i < count; i++) {
        struct child *one = &children[i];
        int pipe[2];
        if (pipe2(pipe, O_CLOEXEC)) give_up("pipe");
        one->next = one->signal = 0;
        while (one->next < one->script.count && is_catch(one->script.line[one->next])) one->next++;
        one->state = IDLE;
        one->told->phase = -1;
        one->told->caught = 0;
        one->told->out = (struct text){0, OUTPUT, one->told->output};
        one->told->output[0] = 0;
        one->pid = fork();
        if (one->pid < 0) give_up("fork");
        if (!one->pid) child(one, pipe[0]);
        ids[i] = one->pid;
        close(pipe[0]);
        one->tokens = pipe[1];
    }
    for (int i = 0; i < count; i++)
        while (children[i].told->phase < 0) sched_yield();
}

static void finish(void) {
    for (int i = 0; i < count; i++) {
        if (children[i].state != OVER) {
            kill(children[i].pid, SIGKILL);
            waitpid(children[i].pid, NULL, 0);
        }
        close(children[i].tokens);
    }
    walk(".", 1, remove_one);
    /* By `..` calls come to what is beside it. */
    if (chdir("..")) give_up("..");
    walk(".", 1, remove_beside);
    if (chdir("workspace")) give_up("workspace");
}

/* All interleavings. */

static char *outcomes[MOST_SCHEDULES];
static int distinct;

static const char *outcome(void) {
    observed.length = 0;
    for (int i = 0; i < count; i++) {
        say(&observed, "%c ", 'A' + i);
        if (children[i].signal) say(&observed, "Signal(%d)|", children[i].signal);
        else if (children[i].state != OVER) say(&observed, "waits|");
        else {
            say(&observed, "%s", children[i].told->output);
            if (children[i].told->caught) say(&observed, CAUGHT);
            say(&observed, "|");
        }
    }
    walk(".", 0, say_entry);
    return observed.at;
}

static void note(const char *outcome) {
    for (int i = 0; i < distinct; i++)
        if (!strcmp(outcomes[i], outcome)) return;
    outcomes[distinct++] = strdup(outcome);
    printf("o %s\n", outcome);
}

static void run_all(void) {
    int chosen[MOST_STEPS] = {0}, schedules = 0, depth;
    distinct = 0;
    do {
        int options[MOST_STEPS];
        begin();
        for (depth = 0;; depth++) {
            int can[MOST_PROCESSES], found = 0;
            for (int i = 0; i < count; i++)
                if (children[i].state == IDLE || children[i].state == DYING) can[found++] = i;
            if (!found) break;
            options[depth] = found;
            if (chosen[depth] >= found) chosen[depth] = found - 1;
            step(&children[can[chosen[depth]]]);
        }
        note(outcome());
        finish();
        if (++schedules == MOST_SCHEDULES) give_up("too many schedules");
        while (depth > 0 && chosen[depth - 1] + 1 >= options[depth - 1]) depth--;
        if (depth > 0) chosen[depth - 1]++;
        for (int i = depth; i < MOST_STEPS; i++) chosen[i] = 0;
    } while (depth > 0);
    printf("n %d\n", schedules);
    for (int i = 0; i < distinct; i++) free(outcomes[i]);
}

static void run_serial(const int *order) {
    begin();
    int is_stuck = 0;
    for (int i = 0; i < count && !is_stuck; i++) {
        struct child *one = &children[order[i]];
        while (one->state == IDLE || one->state == DYING) step(one);
        is_stuck = one->state == BLOCKED;
    }
    if (!is_stuck) printf("s %s\n", outcome());
    finish();
}

static void run_orders(int *order, int from) {
    if (from == count) run_serial(order);
    for (int i = from; i < count; i++) {
        int kept = order[i];
        order[i] = order[from], order[from] = kept;
        run_orders(order, from + 1);
        order[from] = order[i], order[i] = kept;
    }
}

/* Pairs. */

static int descriptor_of(const struct child *one, int number) {
    int process = (int)syscall(SYS_pidfd_open, one->pid, 0);
    int copy = (int)syscall(SYS_pidfd_getfd, process, number, 0);
    close(process);
    return copy;
}

static void drain(int file) {
    static char bytes[1 << 17];
    int value = 0;
    socklen_t size = sizeof value;
    struct pollfd poll_for = {file, POLLIN | POLLOUT | POLLRDHUP, 0};
    poll(&poll_for, 1, 0);
    say(&observed, " events=%x", poll_for.revents);
    fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK);
    if (!getsockopt(file, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) && value) {
        for (value = 0; accept(file, NULL, NULL) >= 0; value++) {}
        say(&observed, " connections=%d", value);
        return;
    }
    long length;
    while ((length = read(file, bytes, sizeof bytes)) > 0) say(&observed, " holds="), say_bytes(&observed, bytes, (size_t)length);
}

/* The locks that a descriptor holds, of what /proc says of it. */
static void say_locks(const char *info) {
    for (const char *line = info; (line = strstr(line, "lock:")); line++) {
        char kind[20], how[20], mode[20], start[30], end[30], place[60];
        int pid;
        if (sscanf(line, "lock: %*d: %19s %19s %19s %d %59s %29s %29s", kind, how, mode, &pid, place, start, end) == 7)
            say(&observed, " holds %s %s %s-%s", kind, mode, start, end);
    }
}

/* What the descriptors of a child are, in the end. */
static void say_descriptors(const struct child *one) {
    for (int number = 3; number < 12; number++) {
        struct stat status;
        char path[60], info[2000] = "";
        int file = descriptor_of(one, number);
        if (file < 0) continue;
        if (fstat(file, &status)) give_up("a descriptor");
        snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", one->pid, number);
        int about = open(path, O_RDONLY);
        if (about < 0 || read(about, info, sizeof info - 1) < 0) give_up(path);
        close(about);
        info[strcspn(info, "\n")] = ' ';
        say(&observed, "fd%d %.*s %s mode=%o", number, (int)strcspn(info, "\n"), info, label(status.st_ino), status.st_mode);
        if (!S_ISDIR(status.st_mode)) say(&observed, " links=%ld size=%ld", (long)status.st_nlink, (long)status.st_size);
        else say(&observed, " %s", status.st_nlink ? "there" : "removed");
        if (!S_ISSOCK(status.st_mode) && !S_ISFIFO(status.st_mode)) say(&observed, " %s", time_class(status.st_mtime));
        say_locks(info + strcspn(info, "\n"));
        if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) drain(file);
        say(&observed, "\\n");
        close(file);
    }
    struct stat status;
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/cwd", one->pid);
    if (!stat(path, &status)) say(&observed, "cwd %s\\n", label(status.st_ino));
}

/* The first child that can make a further call of those that go before the pair. */
static struct child *next_to_prepare(void) {
    for (int i = 0; i < count; i++)
        if (children[i].state == IDLE && children[i].next < children[i].split) return &children[i];
    return NULL;
}

/* Makes the calls that go before the pair; whether all of them could be made. */
static int prepare(void) {
    for (struct child *one; (one = next_to_prepare());) step(one);
    for (int i = 0; i < count; i++) {
        if (children[i].state != IDLE || children[i].next < children[i].split) return 0;
        for (char *error = children[i].told->output; (error = strstr(error, " E")); error++)
            if (error[2] >= 'A' && error[2] <= 'Z') return 0;
    }
    return 1;
}

/* Whether the pair is possible in this world. */
static int run_pair(int first, char *into) {
    begin();
    if (!prepare()) {
        finish();
        return 0;
    }
    walk(".", 0, make_old);
    make_old(".", NULL);
    struct stat here;
    if (!stat(".", &here)) name_inode(".", &here);
    walk(".", 0, name_inode);
    step(&children[first]);
    step(&children[1 - first]);
    observed.length = 0;
    for (int i = 0; i < count; i++)
        say(&observed, "%c %s%s\\n", 'A' + i, children[i].told->output, children[i].state == BLOCKED ? " waits" : "");
    if (!stat(".", &here)) say(&observed, ". %o %d:%d %s\\n", here.st_mode, here.st_uid, here.st_gid, time_class(here.st_mtime));
    walk(".", 0, say_everything);
    for (int i = 0; i < count; i++) say_descriptors(&children[i]);
    memcpy(into, observed.at, observed.length + 1);
    finish();
    return 1;
}

static void compare_pair(void) {
    static char orders[2][LONGEST_OUTCOME];
    if (!run_pair(0, orders[0]) || !run_pair(1, orders[1])) printf("impossible\n");
    else if (!strcmp(orders[0], orders[1])) printf("same\n");
    else printf("differ\n< %s\n> %s\n", orders[0], orders[1]);
}

/* Jobs. */

static int read_job(char *kind) {
    static char line[LONGEST_LINE];
    struct script *into = NULL;
    if (!fgets(line, sizeof line, stdin)) return 0;
    line[strcspn(line, "\n")] = 0;
    strcpy(kind, line);
    if (!strcmp(kind, "end")) return 0;
    world.count = count = with_signals = 0;
    while (fgets(line, sizeof line, stdin) && strcmp(line, ".\n")) {
        size_t length = strcspn(line, "\n");
        if (length == 1 && line[0] == 'S') into = &world;
        else if (length == 1) {
            struct child *one = &children[count++];
            one->script.count = one->split = 0;
            into = &one->script;
        } else if (length == 2 && !memcmp(line, "--", 2)) children[count - 1].split = into->count;
        else if (length) {
            with_signals |= !strncmp(line, "kill ", 5);
            add_line(into, line, length);
        }
    }
    return 1;
}

int serve(void) {
    static char room[LONGEST_OUTCOME];
    char kind[LONGEST_LINE];
    cpu_set_t cores, one;
    observed = (struct text){0, sizeof room, room};
    umask(022);
    sched_getaffinity(0, sizeof cores, &cores);
    int core = sched_getcpu();
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    sched_setaffinity(0, sizeof one, &one);
    if (pipe2(behind, O_CLOEXEC)) give_up("pipe");
    struct told *told = mmap(NULL, sizeof *told * MOST_PROCESSES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (told == MAP_FAILED) give_up("mmap");
    for (int i = 0; i < MOST_PROCESSES; i++) children[i].told = &told[i];
    ids = mmap(NULL, sizeof *ids * MOST_PROCESSES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ids == MAP_FAILED) give_up("mmap");
    snprintf(base, sizeof base, "/dev/shm/kernel.%d", getpid());
    char inner[80];
    snprintf(inner, sizeof inner, "%s/workspace", base);
    if (mkdir(base, 0755) || mkdir(inner, 0755) || chdir(inner)) give_up(inner);
    while (read_job(kind)) {
        if (!strcmp(kind, "pair")) compare_pair();
        else {
            int order[MOST_PROCESSES] = {0, 1, 2};
            run_all();
            run_orders(order, 0);
        }
        printf(".\n");
        fflush(stdout);
    }
    if (chdir("/") || rmdir(inner) || rmdir(base)) give_up(inner);
    return 0;
}
