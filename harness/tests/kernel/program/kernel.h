/* What the parts of the interpreter share. */
#ifndef KERNEL_H
#define KERNEL_H
#define _GNU_SOURCE
#include <stddef.h>

enum { LONGEST_LINE = 400, MOST_CALLS = 40, REGISTERS = 10, OUTPUT = 6000, REGISTER_NONE = -1 };

/* A script: its calls, one a line. */
struct script {
    int count;
    char line[MOST_CALLS][LONGEST_LINE];
};

/* Text that grows up to a limit; what does not fit is an error of the program. */
struct text {
    size_t length, size;
    char *at;
};

void say(struct text *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
void say_bytes(struct text *to, const void *bytes, size_t count);
void give_up(const char *why) __attribute__((noreturn));

/* What the registers hold: what calls gave back, -1 in the beginning. */
extern long registers[REGISTERS];

/* Whether a line is no call, but says what signal the process catches from its beginning on. */
int is_catch(const char *line);
/* Has a signal caught from now on. */
void catch_signal(const char *line);
/* How often a signal was caught, and what is printed for each time. */
extern volatile int *caught;
#define CAUGHT "caught;"
/* The ids of the processes. */
extern volatile int *ids;

/* Makes one call of a script, and says what it gave. */
void make_call(const char *line, struct text *out);
/* Adds a line to a script. */
void add_line(struct script *script, const char *line, size_t length);
/* Serves jobs from standard input: the reference. */
int serve(void);
/* The class of a time: `old`, one of the few that scripts set, `new`. */
const char *time_class(long seconds);

/* Time that the reference gives to all before the calls in question. */
enum { OLD = 1000000000 };

#endif
