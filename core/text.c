#include "core/text.h"

#include "core/refs.h"

#include <stdlib.h>
#include <string.h>

typedef struct shared_head {
    atomic_uint refs;
    max_align_t data[];
} shared_head;

static shared_head *head_of(const void *block)
{
    /* The reference count is the one thing in a shared block that changes. */
    char *bytes = (char *)(uintptr_t)block;
    return (shared_head *)(void *)(bytes - offsetof(shared_head, data));
}

void *ratoon__shared_new(size_t size)
{
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    shared_head *head = malloc(sizeof *head + size);
    if (head == NULL) {
        return NULL;
    }
    atomic_init(&head->refs, 1);
    return head->data;
}

void *ratoon__shared_copy(const void *data, size_t size)
{
    void *block = ratoon__shared_new(size);
    if (block != NULL && size > 0) {
        memcpy(block, data, size);
    }
    return block;
}

void *ratoon__shared_ref(const void *block)
{
    if (block == NULL) {
        return NULL;
    }
    shared_head *head = head_of(block);
    ratoon__refs_add(&head->refs);
    return head->data;
}

void ratoon__shared_unref(const void *block)
{
    if (block == NULL) {
        return;
    }
    shared_head *head = head_of(block);
    if (ratoon__refs_drop(&head->refs)) {
        free(head);
    }
}

const char *ratoon__text_new(const char *s, bool *failed)
{
    if (s == NULL) {
        return NULL;
    }
    const char *copy = ratoon__shared_copy(s, strlen(s) + 1);
    if (copy == NULL) {
        *failed = true;
    }
    return copy;
}

bool ratoon__text_set(const char **at, const char *s)
{
    if (*at != NULL && s != NULL && strcmp(*at, s) == 0) {
        return true; /* what is reported again and again often is */
    }
    bool failed = false;
    const char *copy = ratoon__text_new(s, &failed);
    if (!failed) {
        ratoon__shared_unref(*at);
        *at = copy;
    }
    return !failed;
}
