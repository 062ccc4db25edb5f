/* What dead executors left of a run. */
#include "tools/runner/executor.h"
#include "tools/runner/files.h"
#include "tools/runner/lock.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* "STAGE.ATTEMPT"; shells have other names, and may be in use. */
static bool is_attempt(const char *name)
{
    const size_t stage = strspn(name, "0123456789");
    const size_t attempt = name[stage] == '.' ? strspn(name + stage + 1, "0123456789") : 0;
    return stage > 0 && attempt > 0 && name[stage + 1 + attempt] == '\0';
}

void runner__leftovers_remove(const runner__executor *x)
{
    const runner__facts *f = &x->facts;
    runner__text work = {0};
    runner__text_format(&work, "%s/work/%s", f->store_path, f->run_text);
    DIR *folder = opendir(work.data);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (is_attempt(entry->d_name)) {
            char *path = runner__path_resolve(work.data, entry->d_name);
            (void)runner__remove_tree(path);
            free(path);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    runner__text_free(&work);
    for (size_t i = 0; i < x->stages; i++) {
        char *path = runner__lock_path(f->store_path, f->run, (uint32_t)i);
        (void)runner__lock_free(path); /* removes the file */
        free(path);
    }
}
