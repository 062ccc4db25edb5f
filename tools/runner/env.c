#include "tools/runner/env.h"

#include "tools/runner/files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

void runner__env_free(runner__env *env)
{
    for (size_t i = 0; i < env->count; i++) {
        free(env->items[i]);
    }
    free(env->items);
    *env = (runner__env){0};
}

static void env_put(runner__env *env, const char *entry, size_t name_size)
{
    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->items[i], entry, name_size + 1) == 0) {
            free(env->items[i]);
            env->items[i] = runner__strdup(entry);
            return;
        }
    }
    env->items = runner__grow(env->items, &env->capacity, env->count + 2, sizeof(env->items[0]));
    env->items[env->count++] = runner__strdup(entry);
    env->items[env->count] = NULL;
}

void runner__env_set(runner__env *env, const char *name, const char *value)
{
    runner__text entry = {0};
    runner__text_format(&entry, "%s=", name);
    runner__text_str(&entry, value);
    env_put(env, entry.data, strlen(name));
    runner__text_free(&entry);
}

char *runner__env_name(const char *prefix, const char *name)
{
    runner__text text = {0};
    runner__text_str(&text, prefix);
    for (const char *p = name; *p != '\0'; p++) {
        char c = *p;
        if (c >= 'a' && c <= 'z') {
            c = (char)(c - 'a' + 'A');
        } else if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) {
            c = '_';
        }
        runner__text_add(&text, &c, 1);
    }
    return runner__text_take(&text);
}

static void set_param(runner__env *env, const ratoon_pair *pair)
{
    char *name = runner__env_name("RATOON_PARAM_", pair->name);
    runner__env_set(env, name, pair->value);
    free(name);
}

void runner__env_base(const runner__facts *facts, const ratoon_stage_def *def, runner__env *env)
{
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        const char *equals = strchr(*entry, '=');
        if (equals != NULL && strncmp(*entry, "RATOON_", 7) != 0) {
            env_put(env, *entry, (size_t)(equals - *entry));
        }
    }
    for (size_t i = 0; def != NULL && i < def->env_count; i++) {
        runner__env_set(env, def->env[i].name, def->env[i].value);
    }
    runner__env_set(env, "RATOON_RUN", facts->run_text);
    runner__env_set(env, "RATOON_ROOT", facts->root_text);
    runner__env_set(env, "RATOON_STORE", facts->store_path);
    runner__text depth = {0};
    runner__text_format(&depth, "%u", facts->info.depth);
    runner__env_set(env, "RATOON_DEPTH", depth.data);
    runner__text_free(&depth);
    for (size_t i = 0; i < facts->params_count; i++) {
        set_param(env, &facts->params[i]);
    }
    for (size_t i = 0; i < facts->secrets_count; i++) {
        set_param(env, &facts->secrets[i]);
    }
}

static void set_path(runner__env *env, const char *name, const char *folder, const char *file)
{
    runner__text path = {0};
    runner__text_format(&path, "%s/%s", folder, file);
    runner__env_set(env, name, path.data);
    runner__text_free(&path);
}

void runner__env_stage(runner__env *env, const char *stage, uint32_t attempt,
                       const char *state_path, const char *folder, const char *item)
{
    runner__env_set(env, "RATOON_STAGE", stage);
    runner__text number = {0};
    runner__text_format(&number, "%u", attempt);
    runner__env_set(env, "RATOON_ATTEMPT", number.data);
    runner__text_free(&number);
    runner__env_set(env, "RATOON_STATE", state_path);
    set_path(env, "RATOON_OUTPUT", folder, "output");
    set_path(env, "RATOON_EVENTS", folder, "events");
    if (item != NULL) {
        runner__env_set(env, "RATOON_ITEM", item);
        set_path(env, "RATOON_ITEM_VALUE", folder, "item.json");
    }
}

char *runner__stage_cwd(const runner__facts *facts, const ratoon_stage_def *def)
{
    return def->cwd == NULL ? runner__strdup(facts->base_dir)
                            : runner__path_resolve(facts->base_dir, def->cwd);
}

char **runner__argv_resolve(const char *base_dir, const char *const *argv, size_t count)
{
    char **out = runner__alloc((count + 1) * sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        out[i] = i == 0 && strchr(argv[0], '/') != NULL ? runner__path_resolve(base_dir, argv[0])
                                                        : runner__strdup(argv[i]);
    }
    return out;
}

char **runner__stage_argv(const runner__facts *facts, const ratoon_stage_def *def)
{
    if (!def->shell) {
        return runner__argv_resolve(facts->base_dir, def->argv, def->argv_count);
    }
    char **out = runner__alloc(4 * sizeof(char *));
    out[0] = runner__strdup("sh");
    out[1] = runner__strdup("-c");
    out[2] = runner__strdup(def->argv[0]);
    return out;
}

void runner__argv_free(char **argv)
{
    for (size_t i = 0; argv != NULL && argv[i] != NULL; i++) {
        free(argv[i]);
    }
    free(argv);
}

static bool is_json(const char *media_type)
{
    size_t size = media_type == NULL ? 0 : strlen(media_type);
    return size == 0 || (size >= 4 && strcmp(media_type + size - 4, "json") == 0);
}

/* A value as JSON: itself, or a string, or for bytes that are no text an object with base64. */
static void value_json(const ratoon_state_entry *entry, runner__text *out)
{
    if (is_json(entry->media_type)) {
        runner__text_add(out, entry->data, entry->size);
        return;
    }
    if (memchr(entry->data, '\0', entry->size) == NULL &&
        runner__utf8_valid(entry->data, entry->size)) {
        runner__text_json(out, entry->data, entry->size);
        return;
    }
    runner__text_str(out, "{\"media_type\":");
    runner__text_json(out, entry->media_type, strlen(entry->media_type));
    runner__text_str(out, ",\"base64\":\"");
    char *base64 = runner__alloc(entry->size / 3 * 4 + 5);
    int size = EVP_EncodeBlock((unsigned char *)base64, entry->data, (int)entry->size);
    runner__text_add(out, base64, (size_t)size);
    free(base64);
    runner__text_str(out, "\"}");
}

static ratoon_status write_entries(ratoon_state *state, int fd, const char *key,
                                   runner__text *value, int *failed, ratoon_error *error)
{
    size_t count = ratoon_state_count(state);
    *failed = runner__write_all(fd, "{", 1);
    for (size_t i = 0; i < count && *failed == 0; i++) {
        ratoon_state_entry entry;
        ratoon_status status = ratoon_state_get(state, i, &entry, error);
        if (status != RATOON_OK) {
            return status;
        }
        runner__text text = {0};
        runner__text_str(&text, i > 0 ? ",\n" : "\n");
        runner__text_json(&text, entry.key, strlen(entry.key));
        runner__text_str(&text, ":");
        size_t from = text.size;
        value_json(&entry, &text);
        if (key != NULL && strcmp(entry.key, key) == 0) {
            runner__text_add(value, text.data + from, text.size - from);
        }
        *failed = runner__write_all(fd, text.data, text.size);
        runner__text_free(&text);
    }
    if (*failed == 0) {
        *failed = runner__write_all(fd, "\n}\n", 3);
    }
    return RATOON_OK;
}

ratoon_status runner__state_write(const runner__facts *facts, const char *stage, const char *path,
                                  const char *key, runner__text *value, ratoon_error *error)
{
    ratoon_state *state = NULL;
    ratoon_status status = ratoon_state_input(facts->store, facts->run, stage, &state, error);
    if (status != RATOON_OK) {
        return status;
    }
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    int failed = fd < 0 ? errno : 0;
    if (failed == 0) {
        status = write_entries(state, fd, key, value, &failed, error);
        if (close(fd) != 0 && failed == 0) {
            failed = errno;
        }
    }
    ratoon_state_free(state);
    if (status == RATOON_OK && failed != 0) {
        status = runner__error(error, RATOON_ERR_IO, failed, "can't write '%s': %s", path,
                               strerror(failed));
    }
    return status;
}
