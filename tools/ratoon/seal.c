/* `keygen` and `seal` (Q02). */
#include "tools/ratoon/command.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/text.h"

#include <inttypes.h>
#include <stdlib.h>

int command_keygen(app *a, const args *in)
{
    const char *path = args_at(in, 0);
    ratoon_error error = {0};
    error.code = ratoon_seal_keygen(path, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    char *name = text_escape(path);
    if (a->json) {
        char *public_name = text_format("%s.pub", name);
        json_t *document = json_pack("{s:i,s:{s:s,s:s}}", "schema", 1, "key", "secret", name,
                                     "public", public_name);
        doc_print_json(document);
        json_decref(document);
        free(public_name);
    } else {
        printf("wrote the secret key %s and the public key %s.pub\n", name, name);
    }
    free(name);
    return EXIT_DONE;
}

static void seal_print(const app *a, const json_t *seal)
{
    (void)a;
    const uint64_t lineages = doc_number(seal, "lineages");
    printf("sealed %" PRIu64 " lineage%s in ", lineages, text_plural(lineages));
    text_put_string(stdout, doc_string(seal, "file"));
    printf(", root %s\n", doc_string(seal, "root"));
}

int command_seal(app *a, const args *in)
{
    const char *key = args_get(in, "key");
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    int code = app_open_store_for_change(a);
    if (code >= 0) {
        return code;
    }
    error.code = ratoon_seal(a->store, args_at(in, 0), key, &json, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    if (key == NULL) {
        app_note(a,
                 "signed with the key in the store's folder, %s/seal.key: whoever can change the "
                 "store can use it too; `ratoon keygen` makes one to be kept elsewhere",
                 a->store_path);
    }
    return doc_show(a, &json, "seal", seal_print);
}
