/* Says "ready" and waits to be ended, so that its supervisor can be looked at. cc -O2 -static -o sleeper sleeper.c */
#include <unistd.h>

int main(void)
{
	if (write(1, "ready\n", 6) != 6)
		return 1;
	for (;;)
		pause();
}
