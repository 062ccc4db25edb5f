/* `backup` and `restore`. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/text.h"

#include <stdlib.h>
#include <string.h>

static int print_done(const app *a, const char *what, const char *store, const char *backup,
                      const char *sentence)
{
    if (a->json) {
        json_t *body = json_object();
        char *place = text_escape(store);
        char *copy = text_escape(backup);
        json_object_set_new(body, "store", json_string(place));
        json_object_set_new(body, "backup", json_string(copy));
        json_t *document = json_object();
        json_object_set_new(document, "schema", json_integer(1));
        json_object_set_new(document, what, body);
        doc_print_json(document);
        json_decref(document);
        free(place);
        free(copy);
        return EXIT_DONE;
    }
    fputs(sentence, stdout);
    text_put_string(stdout, strcmp(what, "backup") == 0 ? backup : store);
    putchar('\n');
    return EXIT_DONE;
}

int command_backup(app *a, const args *in)
{
    ratoon_error error = {0};
    const int code = app_open_store_for_change(a);
    if (code >= 0) {
        return code;
    }
    error.code = ratoon_store_backup(a->store, args_at(in, 0), &error);
    return error.code == RATOON_OK
               ? print_done(a, "backup", a->store_path, args_at(in, 0), "backed up to ")
               : app_fail(a, &error);
}

int command_restore(app *a, const args *in)
{
    ratoon_error error = {0};
    app_locate_store(a);
    error.code = ratoon_store_restore(args_at(in, 0), a->store_path, &error);
    return error.code == RATOON_OK
               ? print_done(a, "restored", a->store_path, args_at(in, 0), "restored and verified: ")
               : app_fail(a, &error);
}
