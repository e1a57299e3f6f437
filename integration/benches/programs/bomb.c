/* Says "ready", ignores SIGTERM and fills every task slot it can get with children that do the same, for ever.
 * Refuses to run outside of a sandbox. cc -O2 -static -o bomb bomb.c */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	if (getenv("SANDBOX_EXTENSION_ID") == NULL || geteuid() == 0) {
		fputs("bomb: this is not a sandbox; refusing to run\n", stderr);
		return 3;
	}
	signal(SIGTERM, SIG_IGN);
	/* Reaped by the kernel at once, so that their slots are free again. */
	signal(SIGCHLD, SIG_IGN);
	if (write(1, "ready\n", 6) != 6)
		return 1;
	for (;;)
		fork();
}
