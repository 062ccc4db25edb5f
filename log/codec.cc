/* The one place that knows FlatBuffers, which makes it C++. Encoder and decoder stand side by side,
 * part by part; exceptions end at the functions of log/codec.h. */
#include "log/codec.h"

/* What FlatBuffers would check at every step of the encoder and of reading was checked before:
 * there is room(), and the verifier. */
#define FLATBUFFERS_ASSERT(condition) static_cast<void>(sizeof(condition))
#include "events_generated.h"

#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <vector>

namespace fb = ratoon::events;
using flatbuffers::Offset;
using Text = Offset<flatbuffers::String>;
template <class T> using Table = Offset<T>;
template <class T> using Tables = Offset<flatbuffers::Vector<Offset<T>>>;
template <class T> using TablesIn = const flatbuffers::Vector<Offset<T>> *;

/* Values that most have: absent on disk. */
static const char default_media_type[] = "application/json";
/* Inline values don't count towards the limit of a commit; what FlatBuffers can address does. */
static constexpr uint64_t inline_total_max = UINT64_C(1) << 30;

#define X(name, value, text) static_assert(RATOON__EVENT_##name == value, "schema");
RATOON__EVENT_LIST(X)
#undef X
static_assert(fb::Body_MAX == fb::Body_RunPipelineChanged && fb::Body_MAX == 18, "schema");
static_assert(static_cast<int>(fb::RunStatus_MAX) == RATOON_RUN_CANCELLED, "schema");
static_assert(static_cast<int>(fb::StageStatus_MAX) == RATOON_STAGE_REUSED, "schema");
static_assert(static_cast<int>(fb::ErrorClass_MAX) == RATOON_CLASS_UNKNOWN, "schema");
static_assert(static_cast<int>(fb::ItemsMode_MAX) == RATOON_ITEMS_LISTED, "schema");
static_assert(sizeof(fb::Id) == sizeof(ratoon_id), "schema");
static_assert(sizeof(fb::Digest) == sizeof(ratoon_digest), "schema");

namespace {

/* What is wrong with a commit; `what` is static. */
struct Invalid {
    const char *what;
};
struct Oversize {
    uint64_t size;
};

/* A closed set, in both directions: what was encoded can be decoded. */
template <class To, class From> To ranged(From value, int min, int max, const char *what)
{
    const int number = static_cast<int>(value);
    if (number < min || number > max) {
        throw Invalid{what};
    }
    return static_cast<To>(number);
}

template <class To, class From> To run_status(From value)
{
    return ranged<To>(value, RATOON_RUN_QUEUED, RATOON_RUN_CANCELLED, "status of a run");
}
template <class To, class From> To stage_status(From value)
{
    return ranged<To>(value, RATOON_STAGE_PENDING, RATOON_STAGE_REUSED, "status of a stage");
}
template <class To, class From> To error_class(From value)
{
    return ranged<To>(value, RATOON_CLASS_NONE, RATOON_CLASS_UNKNOWN, "class of an error");
}
template <class To, class From> To items_mode(From value)
{
    return ranged<To>(value, RATOON_ITEMS_MISSING, RATOON_ITEMS_LISTED, "items mode");
}
int32_t stage_or_none(int32_t stage)
{
    if (stage < -1) {
        throw Invalid{"index of a stage"};
    }
    return stage;
}

/* Types of newer writers are beyond what C++ lets the enumeration hold, so they go as numbers. */
int type_of(const ratoon__event &e)
{
    static_assert(sizeof e.type == sizeof(int), "enumerations are as wide as int");
    int number;
    std::memcpy(&number, &e.type, sizeof number);
    return number;
}

void check_head(uint64_t number, uint64_t first_event, uint64_t events_count)
{
    if (number == 0 || first_event == 0 || events_count == 0 ||
        first_event > UINT64_MAX - events_count) {
        throw Invalid{"numbering of a commit"};
    }
}

/* An argument of a generated function: a struct, or nothing. */
template <class T> struct Struct {
    T value;
    bool present;
    operator const T *() const
    {
        return present ? &value : nullptr;
    }
};

template <size_t N> bool is_zero(const uint8_t (&bytes)[N])
{
    static const uint8_t zero[N] = {};
    return std::memcmp(bytes, zero, N) == 0;
}

Struct<fb::Id> put(const ratoon_id &id)
{
    return {fb::Id(flatbuffers::span<const uint8_t, 16>(id.bytes)), true};
}
Struct<fb::Id> put_optional(const ratoon_id &id)
{
    return {fb::Id(flatbuffers::span<const uint8_t, 16>(id.bytes)), !is_zero(id.bytes)};
}
Struct<fb::Digest> put(const ratoon_digest &digest)
{
    return {fb::Digest(flatbuffers::span<const uint8_t, 32>(digest.bytes)), true};
}
Struct<fb::Digest> put_optional(const ratoon_digest &digest)
{
    return {fb::Digest(flatbuffers::span<const uint8_t, 32>(digest.bytes)), !is_zero(digest.bytes)};
}
ratoon_id get(const fb::Id *id)
{
    ratoon_id out = {};
    if (id != nullptr) {
        std::memcpy(out.bytes, id->bytes()->Data(), sizeof out.bytes);
    }
    return out;
}
ratoon_digest get(const fb::Digest *digest)
{
    ratoon_digest out = {};
    if (digest != nullptr) {
        std::memcpy(out.bytes, digest->bytes()->Data(), sizeof out.bytes);
    }
    return out;
}

} // namespace

struct ratoon__encoder {
    flatbuffers::FlatBufferBuilder fbb;
    std::vector<Table<fb::Event>> events;
    uint64_t inline_bytes = 0;

    /* Before anything of variable size is added: FlatBuffers aborts when it can't address it. */
    void room(uint64_t more)
    {
        const uint64_t size = fbb.GetSize() - inline_bytes + more;
        if (size > RATOON_COMMIT_MAX) {
            throw Oversize{size};
        }
    }
    Text text(const char *s) /* may be NULL */
    {
        if (s == nullptr) {
            return 0;
        }
        const size_t size = std::strlen(s);
        room(size);
        return fbb.CreateString(s, size);
    }
    Text required(const char *s)
    {
        return text(s != nullptr ? s : "");
    }
    Text unless(const char *s, const char *usual)
    {
        return s == nullptr || std::strcmp(s, usual) == 0 ? Text(0) : text(s);
    }
    template <class T, class From, class One>
    Tables<T> list(const From *from, size_t count, One one)
    {
        if (count == 0) {
            return 0;
        }
        room(count * sizeof(flatbuffers::uoffset_t));
        std::vector<Offset<T>> offsets;
        offsets.reserve(count);
        for (size_t i = 0; i < count; i++) {
            offsets.push_back(one(from[i]));
        }
        return fbb.CreateVector(offsets);
    }
    Tables<flatbuffers::String> texts(const char *const *from, size_t count)
    {
        return list<flatbuffers::String>(from, count,
                                         [this](const char *s) { return required(s); });
    }

    Table<fb::Value> value(const ratoon__value_ref &v)
    {
        room(sizeof v);
        Offset<flatbuffers::Vector<uint8_t>> data;
        if (v.data != nullptr) {
            if (v.size > inline_total_max - inline_bytes) {
                throw Oversize{inline_bytes + v.size};
            }
            data =
                fbb.CreateVector(static_cast<const uint8_t *>(v.data), static_cast<size_t>(v.size));
            inline_bytes += v.size;
        }
        const Text key = unless(v.key, "");
        const Text media_type = unless(v.media_type, default_media_type);
        return fb::CreateValue(fbb, key, media_type, put(v.digest), v.size, data);
    }
    Tables<fb::Value> values(const ratoon__values &v)
    {
        return list<fb::Value>(v.items, v.count,
                               [this](const ratoon__value_ref &one) { return value(one); });
    }
    Tables<fb::Override> overrides(const ratoon__override *from, size_t count)
    {
        return list<fb::Override>(from, count, [this](const ratoon__override &o) {
            const Text name = required(o.name);
            const Text old_text = unless(o.old_text, "");
            const Text new_text = unless(o.new_text, "");
            return fb::CreateOverride(fbb, name, old_text, new_text, o.secret);
        });
    }
    Table<fb::Failure> failure(const ratoon__failure &f)
    {
        if (f.error_class == RATOON_CLASS_NONE) {
            return 0;
        }
        const auto code = error_class<fb::ErrorClass>(f.error_class);
        const Text message = required(f.message);
        const Text detail = text(f.detail);
        const auto suggested = overrides(f.suggested, f.suggested_count);
        return fb::CreateFailure(fbb, code, message, detail, f.retryable, suggested);
    }
    Table<fb::Capture> capture(const ratoon__capture &c)
    {
        if (!c.present) {
            return 0;
        }
        return fb::CreateCapture(fbb, c.c.stdout_size, c.c.stderr_size, c.c.stdout_dropped,
                                 c.c.stderr_dropped, put(c.c.stdout_digest),
                                 put(c.c.stderr_digest));
    }
    Table<fb::Edit> edit(const ratoon__edit &e)
    {
        const auto v = value(e.value);
        Struct<fb::Digest> old_digest = put(e.old_digest);
        old_digest.present = e.had_old;
        return fb::CreateEdit(fbb, v, old_digest, e.partial);
    }
    Table<fb::StagePlan> plan(const ratoon__stage_plan &p)
    {
        const auto mode = items_mode<fb::ItemsMode>(p.mode);
        const auto listed = texts(p.listed, p.listed_count);
        const auto kept = texts(p.kept, p.kept_count);
        return fb::CreateStagePlan(fbb, p.stage, mode, p.keep_done, p.keep_committed, p.keep_failed,
                                   p.keep_outputs, listed, kept);
    }
    Tables<fb::Param> params(const ratoon__run_created &c)
    {
        return list<fb::Param>(c.params, c.params_count, [this](const ratoon__param &p) {
            const Text name = required(p.name);
            const Text value_text = required(p.text);
            return fb::CreateParam(fbb, name, value_text, p.secret);
        });
    }
    Tables<fb::Label> labels(const ratoon__run_created &c)
    {
        return list<fb::Label>(c.labels, c.labels_count, [this](const ratoon_pair &p) {
            const Text name = required(p.name);
            const Text label = required(p.value);
            return fb::CreateLabel(fbb, name, label);
        });
    }
    Offset<flatbuffers::Vector<uint32_t>> rerun_set(const ratoon__run_created &c)
    {
        if (c.rerun_set_count == 0) {
            return 0;
        }
        room(c.rerun_set_count * sizeof *c.rerun_set);
        return fbb.CreateVector(c.rerun_set, c.rerun_set_count);
    }
    Table<fb::RunCreated> created(const ratoon__run_created &c);
    Offset<void> body(const ratoon__event &e);
    Offset<void> stage_body(const ratoon__event &e);
    Table<fb::Event> event(const ratoon__event &e)
    {
        const auto type =
            ranged<fb::Body>(type_of(e), fb::Body_MIN + 1, fb::Body_MAX, "event type");
        const Offset<void> of_type = type >= fb::Body_StageStarted ? stage_body(e) : body(e);
        room(sizeof(ratoon_id));
        return fb::CreateEvent(fbb, put(e.run), type, of_type);
    }
    void commit(const ratoon__commit &c);
};

Table<fb::RunCreated> ratoon__encoder::created(const ratoon__run_created &c)
{
    /* Whatever a table refers to comes before it. */
    const Text pipeline_name = required(c.pipeline_name);
    const Text base_dir = text(c.base_dir), file = text(c.file), subject = text(c.subject),
               scope = text(c.scope), external_ref = text(c.external_ref), actor = text(c.actor),
               reason = text(c.reason), cause = text(c.cause), key = text(c.key),
               boundary = text(c.boundary);
    const auto all_params = params(c);
    const auto state = values(c.state);
    const auto all_labels = labels(c);
    const auto all_overrides = overrides(c.overrides, c.overrides_count);
    const auto edits =
        list<fb::Edit>(c.edits, c.edits_count, [this](const ratoon__edit &e) { return edit(e); });
    const auto set = rerun_set(c);
    const auto plans = list<fb::StagePlan>(c.plans, c.plans_count,
                                           [this](const ratoon__stage_plan &p) { return plan(p); });
    fb::RunCreatedBuilder b(fbb);
    b.add_pipeline_version(c.pipeline_version);
    b.add_target(c.target);
    b.add_parent_event(c.parent_event);
    b.add_root(put(c.root));
    b.add_parent(put_optional(c.parent));
    b.add_pipeline_digest(put(c.pipeline_digest));
    b.add_request(put_optional(c.request));
    b.add_executor(put_optional(c.executor));
    b.add_depth(c.depth);
    b.add_number(c.number);
    b.add_max_depth(c.max_depth);
    b.add_auto_retry(c.auto_retry);
    b.add_until(stage_or_none(c.until));
    b.add_requested_stage(stage_or_none(c.requested_stage));
    b.add_effective_stage(stage_or_none(c.effective_stage));
    b.add_pipeline_name(pipeline_name);
    b.add_base_dir(base_dir);
    b.add_file(file);
    b.add_subject(subject);
    b.add_scope(scope);
    b.add_external_ref(external_ref);
    b.add_params(all_params);
    b.add_state(state);
    b.add_labels(all_labels);
    b.add_actor(actor);
    b.add_reason(reason);
    b.add_cause(cause);
    b.add_key(key);
    b.add_boundary(boundary);
    b.add_overrides(all_overrides);
    b.add_edits(edits);
    b.add_rerun_set(set);
    b.add_plans(plans);
    b.add_status(ranged<fb::RunStatus>(c.status, RATOON_RUN_QUEUED, RATOON_RUN_RUNNING,
                                       "status of a created run"));
    b.add_automatic(c.automatic);
    b.add_rerun(c.rerun);
    b.add_only(c.only);
    b.add_destructive(c.destructive);
    b.add_queued_by_request(c.queued_by_request);
    b.add_items_mode(items_mode<fb::ItemsMode>(c.items_mode));
    return b.Finish();
}

Offset<void> ratoon__encoder::body(const ratoon__event &e)
{
    const auto &u = e.u;
    switch (e.type) {
    case RATOON__EVENT_RUN_CREATED:
        return created(u.created).Union();
    case RATOON__EVENT_RUN_BRANCHED:
        return fb::CreateRunBranched(fbb, put(u.branched.child),
                                     stage_or_none(u.branched.from_stage), u.branched.depth)
            .Union();
    case RATOON__EVENT_RUN_STARTED: {
        const Text actor = text(u.started.actor);
        return fb::CreateRunStarted(fbb, u.started.epoch, put_optional(u.started.executor),
                                    stage_or_none(u.started.until), actor)
            .Union();
    }
    case RATOON__EVENT_RUN_CANCEL_REQUESTED: {
        const Text actor = text(u.cancel_requested.actor);
        const Text reason = text(u.cancel_requested.reason);
        return fb::CreateRunCancelRequested(fbb, actor, reason).Union();
    }
    case RATOON__EVENT_RUN_SUSPENDED: {
        const Text reason = text(u.suspended.reason);
        const auto code = error_class<fb::ErrorClass>(u.suspended.error_class);
        return fb::CreateRunSuspended(fbb, code, reason).Union();
    }
    case RATOON__EVENT_RUN_ENDED: {
        const Text reason = text(u.ended.reason);
        const auto status = ranged<fb::RunStatus>(u.ended.status, RATOON_RUN_SUCCEEDED,
                                                  RATOON_RUN_CANCELLED, "status of an ended run");
        return fb::CreateRunEnded(fbb, status, reason).Union();
    }
    case RATOON__EVENT_RUN_EXTERNAL_REF:
        return fb::CreateRunExternalRef(fbb, required(u.external_ref.ref)).Union();
    case RATOON__EVENT_RUN_ANNOTATED: {
        const Text note = required(u.annotated.text);
        const Text actor = text(u.annotated.actor);
        return fb::CreateRunAnnotated(fbb, note, actor).Union();
    }
    default: {
        const Text stage = required(u.consumed_by.stage);
        return fb::CreateRunConsumedBy(fbb, put(u.consumed_by.consumer),
                                       put(u.consumed_by.consumer_root), stage)
            .Union();
    }
    }
}

Offset<void> ratoon__encoder::stage_body(const ratoon__event &e)
{
    const auto &u = e.u;
    switch (e.type) {
    case RATOON__EVENT_STAGE_STARTED:
        return fb::CreateStageStarted(fbb, u.stage_started.stage, u.stage_started.attempt).Union();
    case RATOON__EVENT_STAGE_ENDED: {
        const auto &s = u.stage_ended;
        const auto outputs = values(s.outputs);
        const auto why = failure(s.failure);
        const Text reason = text(s.reason);
        const auto captured = capture(s.capture);
        Table<fb::Progress> progress;
        if (s.has_progress) {
            const Text message = text(s.progress_message);
            progress = fb::CreateProgress(fbb, s.done, s.total, message);
        }
        return fb::CreateStageEnded(fbb, s.stage, s.attempt,
                                    stage_status<fb::StageStatus>(s.status), outputs, why, reason,
                                    captured, progress)
            .Union();
    }
    case RATOON__EVENT_STAGE_RETURNED: {
        const auto &s = u.stage_returned;
        const auto why = failure(s.failure);
        const auto partial = values(s.partial);
        const auto captured = capture(s.capture);
        return fb::CreateStageReturned(fbb, s.stage, s.attempt, why, s.delay_ms, partial, captured)
            .Union();
    }
    case RATOON__EVENT_STAGE_PROGRESS: {
        const auto &p = u.progress;
        const Text message = text(p.message);
        return fb::CreateStageProgress(fbb, p.stage, p.attempt, p.done, p.total, message).Union();
    }
    case RATOON__EVENT_STAGE_ITEMS:
        return fb::CreateStageItems(fbb, u.items.stage, u.items.attempt, u.items.total).Union();
    case RATOON__EVENT_ITEM_ENDED: {
        const auto &i = u.item;
        const Text key = required(i.key);
        const Table<fb::Value> output = i.has_output ? value(i.output) : Table<fb::Value>(0);
        const Text error = text(i.error);
        const auto captured = capture(i.capture);
        return fb::CreateItemEnded(fbb, i.stage, i.attempt, key, i.failed, i.committed, output,
                                   error_class<fb::ErrorClass>(i.error_class), error, captured)
            .Union();
    }
    case RATOON__EVENT_STAGE_CONSUMED:
        return fb::CreateStageConsumed(fbb, u.consumed.stage, u.consumed.attempt,
                                       put(u.consumed.run), put(u.consumed.root))
            .Union();
    case RATOON__EVENT_LINEAGE_DELETED: {
        const Text actor = text(u.deleted.actor);
        return fb::CreateLineageDeleted(fbb, u.deleted.commits, u.deleted.events, u.deleted.runs,
                                        actor)
            .Union();
    }
    default:
        return fb::CreateRunPipelineChanged(fbb, put(u.pipeline_changed.old_digest),
                                            put(u.pipeline_changed.new_digest),
                                            u.pipeline_changed.version)
            .Union();
    }
}

void ratoon__encoder::commit(const ratoon__commit &c)
{
    check_head(c.number, c.first_event, c.events_count);
    fbb.Clear();
    inline_bytes = 0;
    events.clear();
    events.reserve(c.events_count);
    for (size_t i = 0; i < c.events_count; i++) {
        events.push_back(event(c.events[i]));
    }
    room(c.events_count * sizeof(flatbuffers::uoffset_t));
    const auto all = fbb.CreateVector(events);
    const Text writer = required(c.writer);
    fb::FinishCommitBuffer(fbb, fb::CreateCommit(fbb, RATOON__FORMAT_VERSION, put(c.id),
                                                 put(c.lineage), c.number, c.first_event, c.time_us,
                                                 put_optional(c.previous), writer, all));
    room(0);
}

namespace {

struct Decoder {
    ratoon__arena *arena;
    /* Elements there may still be: each costs an honest buffer four bytes at least, so that one
     * whose tables refer to the same things again and again can't make us allocate without end. */
    uint64_t budget;

    template <class T> T *array(size_t count)
    {
        if (count > budget) {
            throw Invalid{"more elements than its size can hold"};
        }
        budget -= count;
        void *memory = ratoon__arena_alloc(arena, count * sizeof(T));
        if (memory == nullptr) {
            throw std::bad_alloc();
        }
        return static_cast<T *>(memory);
    }
    static const char *text(const flatbuffers::String *s)
    {
        if (s == nullptr) {
            return nullptr;
        }
        if (std::memchr(s->c_str(), '\0', s->size()) != nullptr) {
            throw Invalid{"text with a NUL"};
        }
        return s->c_str();
    }
    static const char *text_or(const flatbuffers::String *s, const char *usual)
    {
        return s != nullptr ? text(s) : usual;
    }
    template <class To, class From, class One>
    void list(TablesIn<From> from, const To **out, size_t *count, One one)
    {
        if (from == nullptr || from->size() == 0) {
            return;
        }
        To *to = array<To>(from->size());
        for (flatbuffers::uoffset_t i = 0; i < from->size(); i++) {
            one(*from->Get(i), to[i]);
        }
        *out = to;
        *count = from->size();
    }
    void texts(TablesIn<flatbuffers::String> from, const char *const **out, size_t *count)
    {
        list<const char *, flatbuffers::String>(
            from, const_cast<const char *const **>(out), count,
            [](const flatbuffers::String &s, const char *&to) { to = text(&s); });
    }

    /* What is filled here and below is zeros before. */
    static void value(const fb::Value &v, ratoon__value_ref &out)
    {
        out.key = text_or(v.key(), "");
        out.media_type = text_or(v.media_type(), default_media_type);
        out.digest = get(v.digest());
        out.size = v.size();
        if (v.data() != nullptr) {
            if (v.data()->size() != out.size) {
                throw Invalid{"size of a value"};
            }
            out.data = v.data()->Data();
        }
    }
    void values(TablesIn<fb::Value> from, ratoon__values *out)
    {
        list<ratoon__value_ref, fb::Value>(from, &out->items, &out->count, value);
    }
    void overrides(TablesIn<fb::Override> from, const ratoon__override **out, size_t *count)
    {
        list<ratoon__override,
             fb::Override>(from, out, count, [](const fb::Override &o, ratoon__override &to) {
            to = {text(o.name()), text_or(o.old_text(), ""), text_or(o.new_text(), ""), o.secret()};
        });
    }
    void failure(const fb::Failure *from, ratoon__failure *out)
    {
        out->message = "";
        if (from == nullptr) {
            return;
        }
        out->error_class = ranged<ratoon_class>(from->error_class(), RATOON_CLASS_OOM,
                                                RATOON_CLASS_UNKNOWN, "class of a failure");
        out->message = text(from->message());
        out->detail = text(from->detail());
        out->retryable = from->retryable();
        overrides(from->suggested(), &out->suggested, &out->suggested_count);
    }
    static void capture(const fb::Capture *from, ratoon__capture &out)
    {
        if (from != nullptr) {
            out.present = true;
            out.c.stdout_size = from->stdout_size();
            out.c.stderr_size = from->stderr_size();
            out.c.stdout_dropped = from->stdout_dropped();
            out.c.stderr_dropped = from->stderr_dropped();
            out.c.stdout_digest = get(from->stdout_digest());
            out.c.stderr_digest = get(from->stderr_digest());
        }
    }
    static void edit(const fb::Edit &e, ratoon__edit &out)
    {
        value(*e.value(), out.value);
        out.old_digest = get(e.old_digest());
        out.had_old = e.old_digest() != nullptr;
        out.partial = e.partial();
    }
    void plan(const fb::StagePlan &p, ratoon__stage_plan &out)
    {
        out.stage = p.stage();
        out.mode = items_mode<ratoon_items_mode>(p.mode());
        out.keep_done = p.keep_done();
        out.keep_committed = p.keep_committed();
        out.keep_failed = p.keep_failed();
        out.keep_outputs = p.keep_outputs();
        texts(p.listed(), &out.listed, &out.listed_count);
        texts(p.kept(), &out.kept, &out.kept_count);
    }
    void created(const fb::RunCreated &from, ratoon__run_created &out);
    void created_lists(const fb::RunCreated &from, ratoon__run_created &out);
    void body(const fb::Event &from, ratoon__event &out);
    void stage_body(const fb::Event &from, ratoon__event &out);
    /* Into memory of zeros, because an event is large, and most of it is of run.created alone. */
    void event(const fb::Event &from, ratoon__event &out)
    {
        if (from.body_type() == fb::Body_NONE) {
            throw Invalid{"event without a body"};
        }
        /* Types above those known are a newer writer's; the fold passes over them. */
        const int type = from.body_type();
        std::memcpy(&out.type, &type, sizeof out.type);
        out.run = get(from.run());
        if (from.body_type() >= fb::Body_StageStarted) {
            stage_body(from, out);
        } else {
            body(from, out);
        }
    }
    const ratoon__event *events(const flatbuffers::Vector<Offset<fb::Event>> &from)
    {
        auto *to = array<ratoon__event>(from.size());
        for (flatbuffers::uoffset_t i = 0; i < from.size(); i++) {
            event(*from.Get(i), to[i]);
        }
        return to;
    }
};

void Decoder::created(const fb::RunCreated &from, ratoon__run_created &out)
{
    out.root = get(from.root());
    out.parent = get(from.parent());
    out.depth = from.depth();
    out.number = from.number();
    out.max_depth = from.max_depth();
    out.status = ranged<ratoon_run_status>(from.status(), RATOON_RUN_QUEUED, RATOON_RUN_RUNNING,
                                           "status of a created run");
    out.pipeline_name = text(from.pipeline_name());
    out.pipeline_version = from.pipeline_version();
    out.pipeline_digest = get(from.pipeline_digest());
    out.base_dir = text(from.base_dir());
    out.file = text(from.file());
    out.subject = text(from.subject());
    out.scope = text(from.scope());
    out.external_ref = text(from.external_ref());
    out.actor = text(from.actor());
    out.reason = text(from.reason());
    out.cause = text(from.cause());
    out.automatic = from.automatic();
    out.auto_retry = from.auto_retry();
    out.key = text(from.key());
    out.request = get(from.request());
    out.until = stage_or_none(from.until());
    out.executor = get(from.executor());
    out.target = from.target();
    out.parent_event = from.parent_event();
    out.requested_stage = stage_or_none(from.requested_stage());
    out.effective_stage = stage_or_none(from.effective_stage());
    out.boundary = text(from.boundary());
    out.rerun = from.rerun();
    out.only = from.only();
    out.destructive = from.destructive();
    out.queued_by_request = from.queued_by_request();
    out.items_mode = items_mode<ratoon_items_mode>(from.items_mode());
    created_lists(from, out);
}

void Decoder::created_lists(const fb::RunCreated &from, ratoon__run_created &out)
{
    list<ratoon__param, fb::Param>(from.params(), &out.params, &out.params_count,
                                   [](const fb::Param &p, ratoon__param &to) {
                                       to = {text(p.name()), text(p.text()), p.secret()};
                                   });
    values(from.state(), &out.state);
    list<ratoon_pair, fb::Label>(from.labels(), &out.labels, &out.labels_count,
                                 [](const fb::Label &l, ratoon_pair &to) {
                                     to = {text(l.name()), text(l.value())};
                                 });
    overrides(from.overrides(), &out.overrides, &out.overrides_count);
    list<ratoon__edit, fb::Edit>(from.edits(), &out.edits, &out.edits_count, edit);
    list<ratoon__stage_plan, fb::StagePlan>(
        from.plans(), &out.plans, &out.plans_count,
        [this](const fb::StagePlan &p, ratoon__stage_plan &to) { plan(p, to); });
    if (from.rerun_set() != nullptr && from.rerun_set()->size() > 0) {
        const flatbuffers::uoffset_t count = from.rerun_set()->size();
        uint32_t *set = array<uint32_t>(count);
        for (flatbuffers::uoffset_t i = 0; i < count; i++) {
            set[i] = from.rerun_set()->Get(i);
        }
        out.rerun_set = set;
        out.rerun_set_count = count;
    }
}

void Decoder::body(const fb::Event &from, ratoon__event &out)
{
    auto &u = out.u;
    switch (from.body_type()) {
    case fb::Body_RunCreated:
        created(*from.body_as_RunCreated(), u.created);
        break;
    case fb::Body_RunBranched: {
        const auto *b = from.body_as_RunBranched();
        u.branched = {get(b->child()), stage_or_none(b->from_stage()), b->depth()};
        break;
    }
    case fb::Body_RunStarted: {
        const auto *s = from.body_as_RunStarted();
        u.started = {s->epoch(), get(s->executor()), stage_or_none(s->until()), text(s->actor())};
        break;
    }
    case fb::Body_RunCancelRequested: {
        const auto *c = from.body_as_RunCancelRequested();
        u.cancel_requested = {text(c->actor()), text(c->reason())};
        break;
    }
    case fb::Body_RunSuspended: {
        const auto *s = from.body_as_RunSuspended();
        u.suspended = {error_class<ratoon_class>(s->error_class()), text(s->reason())};
        break;
    }
    case fb::Body_RunEnded: {
        const auto *e = from.body_as_RunEnded();
        u.ended = {ranged<ratoon_run_status>(e->status(), RATOON_RUN_SUCCEEDED,
                                             RATOON_RUN_CANCELLED, "status of an ended run"),
                   text(e->reason())};
        break;
    }
    case fb::Body_RunExternalRef:
        u.external_ref = {text(from.body_as_RunExternalRef()->ref())};
        break;
    case fb::Body_RunAnnotated: {
        const auto *a = from.body_as_RunAnnotated();
        u.annotated = {text(a->text()), text(a->actor())};
        break;
    }
    default: {
        const auto *c = from.body_as_RunConsumedBy();
        u.consumed_by = {get(c->consumer()), get(c->consumer_root()), text(c->stage())};
        break;
    }
    }
}

void Decoder::stage_body(const fb::Event &from, ratoon__event &out)
{
    auto &u = out.u;
    switch (from.body_type()) {
    case fb::Body_StageStarted: {
        const auto *s = from.body_as_StageStarted();
        u.stage_started = {s->stage(), s->attempt()};
        break;
    }
    case fb::Body_StageEnded: {
        const auto *s = from.body_as_StageEnded();
        u.stage_ended.stage = s->stage();
        u.stage_ended.attempt = s->attempt();
        u.stage_ended.status = stage_status<ratoon_stage_status>(s->status());
        values(s->outputs(), &u.stage_ended.outputs);
        failure(s->failure(), &u.stage_ended.failure);
        u.stage_ended.reason = text(s->reason());
        capture(s->capture(), u.stage_ended.capture);
        if (s->progress() != nullptr) {
            u.stage_ended.has_progress = true;
            u.stage_ended.done = s->progress()->done();
            u.stage_ended.total = s->progress()->total();
            u.stage_ended.progress_message = text(s->progress()->message());
        }
        break;
    }
    case fb::Body_StageReturned: {
        const auto *s = from.body_as_StageReturned();
        u.stage_returned.stage = s->stage();
        u.stage_returned.attempt = s->attempt();
        failure(s->failure(), &u.stage_returned.failure);
        u.stage_returned.delay_ms = s->delay_ms();
        values(s->partial(), &u.stage_returned.partial);
        capture(s->capture(), u.stage_returned.capture);
        break;
    }
    case fb::Body_StageProgress: {
        const auto *p = from.body_as_StageProgress();
        u.progress = {p->stage(), p->attempt(), p->done(), p->total(), text(p->message())};
        break;
    }
    case fb::Body_StageItems: {
        const auto *i = from.body_as_StageItems();
        u.items = {i->stage(), i->attempt(), i->total()};
        break;
    }
    case fb::Body_ItemEnded: {
        const auto *i = from.body_as_ItemEnded();
        u.item.stage = i->stage();
        u.item.attempt = i->attempt();
        u.item.key = text(i->key());
        u.item.failed = i->failed();
        u.item.committed = i->committed();
        if (i->output() != nullptr) {
            u.item.has_output = true;
            value(*i->output(), u.item.output);
        }
        u.item.error_class = error_class<ratoon_class>(i->error_class());
        u.item.error = text(i->error());
        capture(i->capture(), u.item.capture);
        break;
    }
    case fb::Body_StageConsumed: {
        const auto *c = from.body_as_StageConsumed();
        u.consumed = {c->stage(), c->attempt(), get(c->run()), get(c->root())};
        break;
    }
    case fb::Body_LineageDeleted: {
        const auto *d = from.body_as_LineageDeleted();
        u.deleted = {d->commits(), d->events(), d->runs(), text(d->actor())};
        break;
    }
    case fb::Body_RunPipelineChanged: {
        const auto *c = from.body_as_RunPipelineChanged();
        u.pipeline_changed = {get(c->old_digest()), get(c->new_digest()), c->version(), nullptr};
        break;
    }
    default:
        break;
    }
}

/* What FlatBuffers does by comparing strings. */
bool has_identifier(const uint8_t *bytes)
{
    return std::memcmp(bytes + sizeof(flatbuffers::uoffset_t), fb::CommitIdentifier(),
                       flatbuffers::kFileIdentifierLength) == 0;
}

/* The verifier is a tree of small templates that the compiler calls one by one unless told
 * otherwise: inlined it takes a third of the time. */
__attribute__((flatten)) bool verified(const uint8_t *bytes, size_t size)
{
    const auto tables = static_cast<flatbuffers::uoffset_t>(size / 4);
    flatbuffers::Verifier verifier(bytes, size, 16, tables);
    return verifier.VerifyBuffer<fb::Commit>(nullptr); /* its identifier was looked at */
}

__attribute__((flatten)) ratoon_status decode(const void *data, size_t size, ratoon__arena *arena,
                                              ratoon__commit *out, ratoon_error *error)
{
    const auto *bytes = static_cast<const uint8_t *>(data);
    if (data == nullptr || reinterpret_cast<uintptr_t>(data) % 8 != 0) {
        return ratoon__fail(error, RATOON_ERR_USAGE,
                            "the bytes of a commit are not 8-byte aligned");
    }
    if (size < 8 || size > FLATBUFFERS_MAX_BUFFER_SIZE || !has_identifier(bytes)) {
        return ratoon__fail(error, RATOON_ERR_DAMAGED,
                            "not a commit: %U bytes, without the identifier %s",
                            static_cast<uint64_t>(size), fb::CommitIdentifier());
    }
    if (!verified(bytes, size)) {
        return ratoon__fail(error, RATOON_ERR_DAMAGED, "the bytes of a commit are damaged");
    }
    const fb::Commit *from = fb::GetCommit(bytes);
    if (from->format() > RATOON__FORMAT_VERSION) {
        return ratoon__fail(error, RATOON_ERR_UNSUPPORTED,
                            "a commit of format %u; this version reads format %u and before",
                            static_cast<uint32_t>(from->format()),
                            static_cast<uint32_t>(RATOON__FORMAT_VERSION));
    }
    if (from->format() == 0) {
        throw Invalid{"format version"};
    }
    const auto &events = *from->events();
    const char *writer = Decoder::text(from->writer());
    check_head(from->number(), from->first_event(), events.size());
    const ratoon__event *decoded = nullptr;
    if (arena != nullptr) {
        Decoder decoder{arena, size / 4};
        decoded = decoder.events(events);
    }
    /* Only now, and field by field: a copy of the whole is a tenth of decoding. */
    out->id = get(from->id());
    out->lineage = get(from->lineage());
    out->number = from->number();
    out->first_event = from->first_event();
    out->time_us = from->time_us();
    out->previous = get(from->previous());
    out->writer = writer;
    out->events = decoded;
    out->events_count = events.size();
    return RATOON_OK;
}

/* Turns exceptions into statuses. */
template <class Work>
ratoon_status guarded(ratoon_status invalid, ratoon_error *error, Work work) noexcept
{
    try {
        return work();
    } catch (const Invalid &e) {
        return ratoon__fail(error, invalid, "a commit is not valid: %s", e.what);
    } catch (const Oversize &e) {
        return ratoon__fail(error, RATOON_ERR_LIMIT_EXCEEDED,
                            "the commit has %U bytes or more before its values; the limit is %u",
                            e.size, static_cast<uint32_t>(RATOON_COMMIT_MAX));
    } catch (const std::exception &) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
}

} // namespace

ratoon__encoder *ratoon__encoder_new(void)
{
    try {
        return new ratoon__encoder;
    } catch (const std::exception &) {
        return nullptr;
    }
}

void ratoon__encoder_free(ratoon__encoder *e)
{
    delete e;
}

ratoon_status ratoon__commit_encode(ratoon__encoder *e, const ratoon__commit *commit,
                                    const void **data, size_t *size, ratoon_error *error)
{
    const ratoon_status status = guarded(RATOON_ERR_USAGE, error, [e, commit] {
        e->commit(*commit);
        return RATOON_OK;
    });
    if (status != RATOON_OK) {
        e->fbb.Reset(); /* what was left half built, and its memory */
        return status;
    }
    *data = e->fbb.GetBufferPointer();
    *size = e->fbb.GetSize();
    return RATOON_OK;
}

ratoon_status ratoon__commit_decode(const void *data, size_t size, ratoon__arena *arena,
                                    ratoon__commit *out, ratoon_error *error)
{
    return guarded(RATOON_ERR_DAMAGED, error,
                   [=] { return decode(data, size, arena, out, error); });
}

ratoon_status ratoon__commit_peek(const void *data, size_t size, ratoon__commit *out,
                                  ratoon_error *error)
{
    return guarded(RATOON_ERR_DAMAGED, error,
                   [=] { return decode(data, size, nullptr, out, error); });
}
