/* What the executor and the supervisor of a stage's command agree on. */
#ifndef RATOON_TOOLS_RUNNER_SUPERVISE_H
#define RATOON_TOOLS_RUNNER_SUPERVISE_H

#define RUNNER__CONTROL_FD 3 /* the supervisor's end of the socket */

enum runner__step { /* in which executing the command failed */
                    RUNNER__STEP_SETUP = 1,
                    RUNNER__STEP_CHDIR = 2,
                    RUNNER__STEP_EXEC = 3,
};

#endif
