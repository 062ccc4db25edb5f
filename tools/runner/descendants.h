/* All processes below this one. */
#ifndef RATOON_TOOLS_RUNNER_DESCENDANTS_H
#define RATOON_TOOLS_RUNNER_DESCENDANTS_H

/* Sends the signal to every descendant found; those that fork meanwhile need another call. */
void runner__descendants_signal(int signal_number);

#endif
