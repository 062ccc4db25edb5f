#include "log/socket_exchange.h"

void ratoon__exchange_begin(ratoon__exchange *x, ratoon__driver *d, ratoon__frame_op op)
{
    *x = (ratoon__exchange){.connection = ((ratoon__socket_driver *)d)->connection,
                            .fields = {.bad = true}};
    x->writer = ratoon__frame_begin(&x->request, op, RATOON_OK, 0);
}

ratoon_status ratoon__exchange_ask(ratoon__exchange *x, uint64_t deadline_ms, ratoon_error *error)
{
    ratoon_status status = ratoon__frame_finish(&x->writer, error);
    if (status == RATOON_OK) {
        status =
            ratoon__connection_call(x->connection, &x->request, deadline_ms, &x->answer, error);
    }
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__frame_head asked;
    ratoon__frame_head head;
    if (!ratoon__frame_head_get(x->answer.data, &head) ||
        !ratoon__frame_head_get(x->request.data, &asked) || head.op != asked.op) {
        return ratoon__connection_break(x->connection, error);
    }
    x->fields = ratoon__frame_fields(x->answer.data, x->answer.size);
    if (head.status != RATOON_OK) {
        ratoon__frame_get_error(&x->fields, head.status, error);
        return ratoon__frame_done(&x->fields) ? head.status
                                              : ratoon__connection_break(x->connection, error);
    }
    return RATOON_OK;
}

ratoon_status ratoon__exchange_end(ratoon__exchange *x, ratoon_status status, ratoon_error *error)
{
    if (status == RATOON_OK && !ratoon__frame_done(&x->fields)) {
        status = ratoon__connection_break(x->connection, error);
    }
    ratoon__buf_free(&x->request);
    ratoon__buf_free(&x->answer);
    return status;
}

ratoon_status ratoon__exchange_ask_number(ratoon__exchange *x, uint64_t *out, ratoon_error *error)
{
    ratoon_status status = ratoon__exchange_ask(x, RATOON__NO_DEADLINE, error);
    uint64_t number = ratoon__frame_get_u64(&x->fields);
    status = ratoon__exchange_end(x, status, error);
    if (status == RATOON_OK && out != NULL) {
        *out = number;
    }
    return status;
}

ratoon_status ratoon__exchange_ask_id(ratoon__exchange *x, ratoon_id *out, ratoon_error *error)
{
    ratoon_status status = ratoon__exchange_ask(x, RATOON__NO_DEADLINE, error);
    ratoon_id id = ratoon__frame_get_id(&x->fields);
    status = ratoon__exchange_end(x, status, error);
    if (status == RATOON_OK) {
        *out = id;
    }
    return status;
}
