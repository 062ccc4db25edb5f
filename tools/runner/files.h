/* Files and folders of the runner below the store's folder. */
#ifndef RATOON_TOOLS_RUNNER_FILES_H
#define RATOON_TOOLS_RUNNER_FILES_H

#include "tools/runner/text.h"

#include <ratoon.h>

/* All return 0 or an errno. */
int runner__make_folder(const char *path);  /* and those above it, mode 0700 */
int runner__make_parents(const char *path); /* the folders above a file */
int runner__write_file(const char *path, const void *data, size_t size); /* new, mode 0600 */
int runner__remove_tree(const char *path);                               /* never follows links */
int runner__file_digest(const char *path, uint64_t *size, ratoon_digest *digest);
int runner__write_all(int fd, const void *data, size_t size);

/* folder/name where name is relative, else name; `folder` "" is the current one. The caller frees.
 */
char *runner__path_resolve(const char *folder, const char *name);
/* Hexadecimal SHA-256; out has 2 * `bytes` + 1 characters. */
void runner__hash_text(const void *data, size_t size, size_t bytes, char *out);
void runner__hex(const uint8_t *data, size_t size, char *out);

#endif
