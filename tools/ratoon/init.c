/* `init`: an example pipeline to begin with. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/text.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char pipeline_yaml[] =
    "# An example pipeline:\n"
    "#   ratoon run pipeline.yaml\n"
    "# One of its items can be made to fail, and only that item is executed again:\n"
    "#   ratoon run pipeline.yaml --param unlucky=Bob\n"
    "#   ratoon retry @last --param unlucky=nobody\n"
    "pipeline: hello\n"
    "version: 1\n"
    "\n"
    "params:\n"
    "  greeting: {type: string, default: Hello}\n"
    "  unlucky: {type: string, default: nobody}\n"
    "\n"
    "stages:\n"
    "  - name: collect\n"
    "    run: [\"./stages/collect.sh\"]\n"
    "    produces: [people]\n"
    "\n"
    "  - name: greet\n"
    "    foreach: people              # one execution for each item of the array\n"
    "    jobs: 2\n"
    "    run: [\"./stages/greet.sh\"]\n"
    "    requires: [people]\n"
    "    produces: [greetings]\n"
    "\n"
    "  - name: report\n"
    "    run: [\"./stages/report.sh\"]\n"
    "    requires: [greetings]\n"
    "    produces: [report]\n";

static const char collect_sh[] =
    "#!/bin/sh\n"
    "# What a stage writes to RATOON_OUTPUT becomes its output: a JSON object, or key=value "
    "lines.\n"
    "echo '{\"people\": [\"Ada\", \"Bob\", \"Cem\"]}' >\"$RATOON_OUTPUT\"\n";

static const char greet_sh[] =
    "#!/bin/sh\n"
    "# Executed once for each item. Parameters are in the environment.\n"
    "if [ \"$RATOON_ITEM\" = \"$RATOON_PARAM_UNLUCKY\" ]; then\n"
    "    echo \"nobody greets $RATOON_ITEM\" >&2\n"
    "    exit 1\n"
    "fi\n"
    "echo \"greetings=$RATOON_PARAM_GREETING, $RATOON_ITEM!\" >\"$RATOON_OUTPUT\"\n";

static const char report_sh[] =
    "#!/bin/sh\n"
    "# RATOON_STATE is a file with a JSON object: what the stages before this one put out.\n"
    "count=$(grep -o '!' \"$RATOON_STATE\" | wc -l)\n"
    "echo \"greeted $count people\"\n"
    "echo \"report=$count greetings\" >\"$RATOON_OUTPUT\"\n";

static const struct {
    const char *path, *text;
    mode_t mode;
} files[] = {
    {"pipeline.yaml", pipeline_yaml, 0666},
    {"stages/collect.sh", collect_sh, 0777},
    {"stages/greet.sh", greet_sh, 0777},
    {"stages/report.sh", report_sh, 0777},
};
#define FILES (sizeof files / sizeof files[0])

static int make_folder(const app *a, const char *path)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        return app_error(a, RATOON_ERR_IO, NULL, "can't make the folder %s: %s", path,
                         strerror(errno));
    }
    return -1;
}

static int write_new(const app *a, const char *path, const char *text, mode_t mode)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    const size_t size = strlen(text);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || close(fd) != 0) {
        return app_error(a, errno == EEXIST ? RATOON_ERR_EXISTS : RATOON_ERR_IO, NULL,
                         "can't write %s: %s", path, strerror(errno));
    }
    return -1;
}

static void report(const app *a, const char *folder)
{
    json_t *written = json_array();
    for (size_t i = 0; i < FILES; i++) {
        char *path = text_format("%s/%s", folder, files[i].path);
        if (!a->json) {
            printf("wrote ");
            text_put_string(stdout, path);
            putchar('\n');
        }
        json_array_append_new(written, json_string(path));
        free(path);
    }
    json_t *document = json_pack("{s:i,s:o}", "schema", 1, "written", written);
    if (a->json) {
        json_dumpf(document, stdout, JSON_COMPACT);
        putchar('\n');
    }
    json_decref(document);
    app_note(a, "now try: ratoon run %s/pipeline.yaml", folder);
}

int command_init(app *a, const args *in)
{
    const char *folder = args_at(in, 0) != NULL ? args_at(in, 0) : ".";
    int code = make_folder(a, folder);
    /* All or nothing: look before writing. */
    for (size_t i = 0; i < FILES && code < 0; i++) {
        char *path = text_format("%s/%s", folder, files[i].path);
        struct stat st;
        if (lstat(path, &st) == 0) {
            code = app_error(a, RATOON_ERR_EXISTS, "ratoon init FOLDER writes elsewhere",
                             "%s exists already; nothing was written", path);
        }
        free(path);
    }
    if (code < 0) {
        char *stages = text_format("%s/stages", folder);
        code = make_folder(a, stages);
        free(stages);
    }
    for (size_t i = 0; i < FILES && code < 0; i++) {
        char *path = text_format("%s/%s", folder, files[i].path);
        code = write_new(a, path, files[i].text, files[i].mode);
        free(path);
    }
    if (code < 0) {
        report(a, folder);
        code = EXIT_DONE;
    }
    return code;
}
