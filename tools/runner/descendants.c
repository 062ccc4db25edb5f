#include "tools/runner/descendants.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define ROUND_MAX 65536 /* processes of one round */

typedef struct found {
    pid_t *pids;
    size_t count, capacity;
} found;

static void add(found *f, pid_t pid)
{
    if (f->count == f->capacity) {
        size_t capacity = f->capacity > 0 ? f->capacity * 2 : 64;
        pid_t *pids = capacity > ROUND_MAX ? NULL : reallocarray(f->pids, capacity, sizeof(pid_t));
        if (pids == NULL) {
            return; /* the next round finds it */
        }
        f->pids = pids;
        f->capacity = capacity;
    }
    f->pids[f->count++] = pid;
}

/* Children are listed with the thread that made them. */
static void add_children(found *f, const char *process)
{
    char path[320];
    (void)snprintf(path, sizeof(path), "/proc/%s/task", process);
    DIR *threads = opendir(path);
    if (threads == NULL) {
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(threads)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof(path), "/proc/%s/task/%.20s/children", process, entry->d_name);
        FILE *file = fopen(path, "re");
        if (file == NULL) {
            continue;
        }
        char *line = NULL; /* numbers with spaces between them */
        size_t capacity = 0;
        if (getline(&line, &capacity, file) > 0) {
            char *end = line;
            for (char *at = line; *at != '\0'; at = end) {
                long pid = strtol(at, &end, 10);
                if (end == at) {
                    break;
                }
                add(f, (pid_t)pid);
            }
        }
        free(line);
        (void)fclose(file);
    }
    closedir(threads);
}

void runner__descendants_signal(int signal_number)
{
    found f = {0};
    add_children(&f, "self");
    for (size_t i = 0; i < f.count; i++) {
        char process[16];
        (void)snprintf(process, sizeof(process), "%d", f.pids[i]);
        add_children(&f, process);
        (void)kill(f.pids[i], signal_number);
        if (signal_number != SIGKILL) {
            (void)kill(f.pids[i], SIGCONT);
        }
    }
    free(f.pids);
}

bool runner__children_kill(const pid_t *keep, size_t keep_count)
{
    found f = {0};
    bool any = false;
    add_children(&f, "self");
    for (size_t i = 0; i < f.count; i++) {
        bool kept = false;
        for (size_t k = 0; k < keep_count && !kept; k++) {
            kept = keep[k] == f.pids[i];
        }
        if (!kept) {
            any = true;
            (void)kill(f.pids[i], SIGKILL);
        }
    }
    free(f.pids);
    return any;
}
