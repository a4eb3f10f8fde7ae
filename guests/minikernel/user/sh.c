/* SPDX-License-Identifier: MIT */

/*
 * The shell. A command is a word and its arguments; `;` ends one, `&` ends one that is not
 * waited for. `sh SCRIPT` runs the commands in SCRIPT first, saying each.
 */

#include "guests/minikernel/user/user.h"

#define LINE_SIZE 1024
#define WORDS_MAX 15

static void help(void)
{
	print("help                  this\n"
	      "ps, free, uptime      processes, memory, time\n"
	      "echo WORD…            say it\n"
	      "sleep MS              wait\n");
	print("primes N              count them up to N\n"
	      "spin [MS]             use a hart, for ever or so long\n"
	      "fork N                make N processes, with copy-on-write memory\n");
	print("crash HOW             null, stack, illegal, wild, oom: contained; kernel: not\n"
	      "selfcheck             test the kernel\n"
	      "kill PID, wait        end a process, wait for all in the background\n"
	      "poweroff, reboot\n");
	print("COMMAND & runs it in the background, ^C ends the one in the foreground\n");
}

static void say_status(const char *name, int status)
{
	if (status == STATUS_KILLED)
		print("sh: %s: killed\n", name);
	else if (status >= STATUS_KILLED)
		print("sh: %s: killed by the kernel, status %d\n", name, status);
	else if (status != 0)
		print("sh: %s: exit status %d\n", name, status);
}

/* Those in the background that have ended; or all of them, however long it takes. */
static void reap(bool all)
{
	int64_t pid;
	int status;

	while ((pid = wait(0, &status, !all)) > 0)
		print("[%ld] done, status %d\n", pid, status);
}

/* ^C ends those that are waited for, and this shell with them; init starts another. */
static void wait_command(void)
{
	foreground(getpid());
	reap(true);
	foreground(0);
}

/* In the child. */
static void become(const char *const *words)
{
	int64_t error = exec(words[0], words);

	if (error == ERR_NOENT || error == ERR_TOO_LARGE)
		print("sh: %s: no such command; try help\n", words[0]);
	else
		print("sh: %s: error %ld\n", words[0], error);
	exit(127);
}

/* False if it has been interrupted by ^C. */
static bool run_program(const char *const *words, bool background)
{
	int64_t pid = fork();
	int status = 0;

	if (pid < 0) {
		print("sh: fork: error %ld\n", pid);
		return true;
	}
	if (pid == 0)
		become(words);
	if (background) {
		print("[%ld]\n", pid);
		return true;
	}
	foreground(pid);
	if (wait(pid, &status, 0) == pid)
		say_status(words[0], status);
	foreground(0);
	return status != STATUS_KILLED;
}

static void kill_command(const char *pid_text)
{
	uint64_t pid;
	int64_t error;

	if (pid_text == NULL || !parse_number(pid_text, &pid)) {
		print("usage: kill PID\n");
		return;
	}
	error = kill((int64_t)pid);
	if (error != 0)
		print("sh: kill: error %ld\n", error);
}

static bool run_command(const char *const *words, bool background)
{
	if (strcmp(words[0], "help") == 0)
		help();
	else if (strcmp(words[0], "exit") == 0)
		exit(0);
	else if (strcmp(words[0], "kill") == 0)
		kill_command(words[1]);
	else if (strcmp(words[0], "wait") == 0)
		wait_command();
	else if (strcmp(words[0], "poweroff") == 0)
		poweroff();
	else if (strcmp(words[0], "reboot") == 0)
		reboot();
	else
		return run_program(words, background);
	return true;
}

/* Splits `command`, which it changes, at its spaces. Returns the number of words. */
static uint32_t split(char *command, const char **words)
{
	uint32_t count = 0;

	while (*command != '\0') {
		if (*command == ' ') {
			*command++ = '\0';
			continue;
		}
		if (count == WORDS_MAX) {
			print("sh: more than %d words\n", WORDS_MAX);
			return 0;
		}
		words[count++] = command;
		while (*command != ' ' && *command != '\0')
			command++;
	}
	words[count] = NULL;
	return count;
}

/* Runs the commands in `line`, which it changes, up to the first that is interrupted. */
static void run_line(char *line, bool say)
{
	const char *words[WORDS_MAX + 1];
	bool last = false;

	while (!last) {
		char *end = line;
		char separator;

		while (*end != ';' && *end != '&' && *end != '\0')
			end++;
		separator = *end;
		last = separator == '\0';
		*end = '\0';
		if (say && *line != '\0')
			print("+ %s%s\n", line, separator == '&' ? " &" : "");
		if (split(line, words) != 0 && !run_command(words, separator == '&'))
			return;
		line = end + 1;
	}
}

int main(int argc, char **argv)
{
	static char line[LINE_SIZE];
	int64_t length;

	if (argc > 1)
		run_line(argv[1], true);
	else
		print("\nA small kernel, for reading. Type help for what it can do.\n");
	for (;;) {
		reap(false);
		write("mk> ", 4);
		length = read(line, sizeof(line) - 1);
		if (length <= 0)
			break;
		line[length - (line[length - 1] == '\n')] = '\0';
		run_line(line, false);
	}
	print("\nsh: end of input\n");
	return 0;
}
