/* Identity of requests: what makes two of them the same, and the run an earlier one made (R09).
 * Everything that affects the run is in the digest; the reason is not. */
#include "log/store_impl.h"

#include <string.h>

static void add_text(ratoon__buf *b, const char *tag, const char *text)
{
    ratoon__buf_str(b, tag);
    if (text != NULL) { /* length first: no text can pass for another field */
        ratoon__buf_format(b, "=%U:%s", (uint64_t)strlen(text), text);
    }
    ratoon__buf_str(b, "\n");
}

static void add_number(ratoon__buf *b, const char *tag, uint64_t number)
{
    ratoon__buf_format(b, "%s=%U\n", tag, number);
}

static void add_digest(ratoon__buf *b, const char *tag, const ratoon_digest *digest)
{
    char hex[65];
    ratoon__digest_format(digest, hex);
    ratoon__buf_format(b, "%s=%s\n", tag, hex);
}

static void add_pairs(ratoon__buf *b, const char *tag, const ratoon_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_text(b, tag, pairs[i].name);
        add_text(b, "value", pairs[i].value);
    }
}

static void add_secrets(ratoon__buf *b, const ratoon__param *secrets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_text(b, "secret", secrets[i].name);
        add_text(b, "value", secrets[i].text);
    }
}

static void add_values(ratoon__buf *b, const char *tag, const ratoon__value_ref *v, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_text(b, tag, v[i].key);
        add_text(b, "type", v[i].media_type);
        add_digest(b, "digest", &v[i].digest);
    }
}

static ratoon_status digest_of(ratoon__buf *b, ratoon_digest *out, ratoon_error *error)
{
    const ratoon_status status =
        b->failed ? RATOON_ERR_NO_MEMORY : ratoon__sha256(b->data, b->size, out);
    ratoon__buf_free(b);
    return status == RATOON_OK ? status : ratoon__fail(error, status, "out of memory");
}

ratoon_status ratoon__create_request_digest(const ratoon_run_options *o,
                                            const ratoon__create_request *r, ratoon_digest *out,
                                            ratoon_error *error)
{
    ratoon__buf b = {0};
    add_text(&b, "create", NULL);
    add_digest(&b, "pipeline", &r->pipeline->digest);
    add_pairs(&b, "param", r->params, r->params_count);
    add_secrets(&b, r->secrets, r->secrets_count);
    add_values(&b, "state", r->state.items, r->state.count);
    add_pairs(&b, "label", o->labels, o->labels_count);
    add_text(&b, "subject", o->subject);
    add_text(&b, "until", o->until);
    add_text(&b, "external_ref", o->external_ref);
    add_number(&b, "target", o->target);
    add_number(&b, "no_exec", o->no_exec);
    add_number(&b, "auto_retry", (uint64_t)(int64_t)o->auto_retry);
    return digest_of(&b, out, error);
}

ratoon_status ratoon__retry_request_digest(const ratoon_retry_options *o,
                                           const ratoon__retry_request *r, ratoon_digest *out,
                                           ratoon_error *error)
{
    ratoon__buf b = {0};
    char parent[RATOON_ID_TEXT];
    ratoon_id_format(o->parent, parent);
    add_text(&b, "retry", parent);
    add_text(&b, "from", o->from);
    add_number(&b, "flags",
               (uint64_t)o->rerun | (uint64_t)o->only << 1 | (uint64_t)o->destructive << 2 |
                   (uint64_t)o->accept_changes << 3 | (uint64_t)o->partial_include << 4 |
                   (uint64_t)o->queue << 5 | (uint64_t)o->no_exec << 6 |
                   (uint64_t)o->setup_too << 7 | (uint64_t)o->automatic << 8 |
                   (uint64_t)o->items_given << 9);
    add_number(&b, "items_mode", (uint64_t)o->items_mode);
    for (size_t i = 0; i < o->items_count; i++) {
        add_text(&b, "item", o->items[i]);
    }
    for (size_t i = 0; i < o->params_count; i++) {
        bool secret = false;
        for (size_t j = 0; j < r->secrets_count && !secret; j++) {
            secret = strcmp(r->secrets[j].name, o->params[i].name) == 0;
        }
        if (!secret) {
            add_pairs(&b, "param", &o->params[i], 1);
        }
    }
    add_secrets(&b, r->secrets, r->secrets_count);
    add_values(&b, "edit", r->edits, r->edits_count);
    if (o->pipeline != NULL) {
        add_digest(&b, "pipeline", &o->pipeline->digest);
    }
    add_text(&b, "until", o->until);
    add_number(&b, "target", o->target);
    add_number(&b, "auto_retry", (uint64_t)(int64_t)o->auto_retry);
    return digest_of(&b, out, error);
}

ratoon_status ratoon__key_after_refusal(ratoon_store *s, const char *key,
                                        const ratoon_digest *request, ratoon_id *run,
                                        bool *repeated, ratoon_status refusal, ratoon_error *error)
{
    if (key == NULL) {
        return refusal;
    }
    ratoon_error reason = {0};
    ratoon_status status = ratoon__key_lookup(s, key, request, run, repeated, &reason);
    if (status == RATOON_OK && !*repeated) {
        return refusal;
    }
    if (status != RATOON_OK && error != NULL) {
        *error = reason;
    }
    return status;
}

ratoon_status ratoon__key_lookup(ratoon_store *s, const char *key, const ratoon_digest *request,
                                 ratoon_id *run, bool *repeated, ratoon_error *error)
{
    *repeated = false;
    if (key == NULL) {
        return RATOON_OK;
    }
    if (key[0] == '\0' || strlen(key) > RATOON_NAME_MAX) {
        return ratoon__fail(error, RATOON_ERR_LIMIT_EXCEEDED,
                            "an idempotency key has 1 to %u bytes; this one has %U",
                            (uint32_t)RATOON_NAME_MAX, (uint64_t)strlen(key));
    }
    ratoon__buf name = {0};
    ratoon_id holder;
    ratoon__buf_format(&name, "key:%s", key);
    ratoon_status status = name.failed
                               ? ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory")
                               : s->driver->ops->claim_get(s->driver, name.data, &holder, error);
    ratoon__buf_free(&name);
    if (status == RATOON_ERR_NOT_FOUND) {
        return RATOON_OK;
    }
    ratoon__lineage *l = NULL;
    const ratoon__run *r = NULL;
    if (status == RATOON_OK) {
        status = ratoon__store_run(s, holder, &l, &r, error);
    }
    if (status != RATOON_OK) {
        return status;
    }
    bool same = ratoon__digest_equal(&r->fixed->created.request, request);
    ratoon__lineage_unref(l);
    if (!same) {
        (void)ratoon__fail(error, RATOON_ERR_KEY_REUSED,
                           "the key \"%s\" made run %I by a different request", key, &holder);
        ratoon__hint(error, "use another key for another request");
        if (error != NULL) {
            error->other = holder;
        }
        return RATOON_ERR_KEY_REUSED;
    }
    *run = holder;
    *repeated = true;
    return RATOON_OK;
}
