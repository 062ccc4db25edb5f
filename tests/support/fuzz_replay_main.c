/* main() of a fuzz target in builds without libFuzzer: feeds every file of the given folders to
 * LLVMFuzzerTestOneInput, and the empty input. */
#include "tests/support/support.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *path)
{
    size_t size = 0;
    char *text = support_read_file(path, &size);
    /* An exact copy on the heap, so that a sanitizer sees a read one byte past the input. */
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (data == NULL) {
        abort();
    }
    memcpy(data, text, size);
    free(text);
    /* Printed first: if the target crashes, the last line names the input. */
    printf("%s (%zu bytes)\n", path, size);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static size_t replay_folder(const char *folder)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, NULL, alphasort);
    if (count < 0) {
        fprintf(stderr, "corpus folder %s: %s\n", folder, strerror(errno));
        exit(EXIT_FAILURE);
    }
    size_t replayed = 0;
    for (int i = 0; i < count; i++) {
        char *path = support_path_join(folder, entries[i]->d_name);
        struct stat status;
        if (stat(path, &status) == 0 && S_ISREG(status.st_mode)) {
            replay(path);
            replayed++;
        }
        free(path);
        free(entries[i]);
    }
    free(entries);
    return replayed;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER…\n", argv[0]);
        return 2;
    }
    const uint8_t nothing = 0;
    LLVMFuzzerTestOneInput(&nothing, 0);
    size_t replayed = 0;
    for (int i = 1; i < argc; i++) {
        replayed += replay_folder(argv[i]);
    }
    if (replayed == 0) {
        fprintf(stderr, "no input in the corpus: nothing was tested\n");
        return EXIT_FAILURE;
    }
    printf("%zu inputs\n", replayed);
    return EXIT_SUCCESS;
}
