/* Where captured output lies. */
#include "log/digest.h"

#include <stdio.h>
#include <string.h>

#define FOLDER_MAX 200  /* bytes of a stage's folder name; longer ones end in a digest */
#define SHORT_DIGEST 16 /* bytes of a digest that go into a name */

static void short_digest(const char *text, char hex[65])
{
    ratoon_digest digest = {{0}};
    (void)ratoon__sha256(text, strlen(text), &digest);
    ratoon__digest_format(&digest, hex);
    hex[2 * SHORT_DIGEST] = '\0';
}

/* A stage's name as one path component: whatever is not plain is percent-encoded. */
static void stage_folder(const char *stage, char out[FOLDER_MAX + 80])
{
    size_t n = 0;
    char hex[65];
    for (const char *p = stage; *p != '\0' && n <= FOLDER_MAX; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || *p == '_' || *p == '-' ||
                     (*p == '.' && p != stage);
        n += (size_t)(plain ? sprintf(out + n, "%c", *p)
                            : sprintf(out + n, "%%%02X", (unsigned)(unsigned char)*p));
    }
    out[n] = '\0';
    if (n > FOLDER_MAX) {
        short_digest(stage, hex);
        sprintf(out + FOLDER_MAX - 2 * SHORT_DIGEST - 1, "~%s", hex);
    }
}

void ratoon_capture_path(const char *store_path, ratoon_id run, const char *stage, uint32_t attempt,
                         const char *item, int stream, char *path, size_t size)
{
    char id[RATOON_ID_TEXT];
    char folder[FOLDER_MAX + 80];
    char hex[65] = "";
    ratoon_id_format(run, id);
    stage_folder(stage, folder);
    if (item != NULL) {
        short_digest(item, hex);
    }
    (void)snprintf(path, size, "%s/output/%s/%s/%u%s%s%s", store_path, id, folder, attempt,
                   item != NULL ? "." : "", hex, stream == 1 ? ".out" : ".err");
}
