/* What RocksDB asks before it recovers by itself from want of room. Its C interface does not pass
 * that on; how a listener is named in a text of options is the way in. */
#include "log/rocksdb_listener.h"

#include <rocksdb/c.h>
#include <rocksdb/listener.h>
#include <rocksdb/utilities/object_registry.h>

#include <atomic>
#include <exception>
#include <memory>
#include <string>

/* Closing waits for a recovery that is under way, and RocksDB 7.8 can take one for that which has
 * ended: its thread has recovered and is about to look whether anything has gone wrong since,
 * something does, and counts on that thread to go on; then closing tells the thread not to look.
 * So no recovery begins that is of no use: none from a failed write of the log, behind which the
 * store is read-only until it is opened again, and none once closing has begun. From a table that
 * found no room it recovers: that is nothing a user of the store need notice. */
struct ratoon__rocks_listener : rocksdb::EventListener {
    static constexpr const char *name = "ratoon.listener";

    std::atomic<bool> closing{false};
    /* Recoveries that have begun and not ended; or more, as one that ends may have begun twice. */
    std::atomic<long> under_way{0};

    const char *Name() const override
    {
        return name;
    }

    /* Else RocksDB notes it with the options of the store, as something to be made again. */
    std::string GetId() const override
    {
        return "";
    }

    void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason reason, rocksdb::Status /*error*/,
                              bool *recovers) override
    {
        under_way++; /* before it looks: closing does these in the other order */
        if (reason == rocksdb::BackgroundErrorReason::kWriteCallback || closing) {
            *recovers = false;
            under_way--;
        }
    }

    /* Also of recoveries that nobody was asked about, from errors that RocksDB takes for brief. */
    void OnErrorRecoveryEnd(const rocksdb::BackgroundErrorRecoveryInfo & /*info*/) override
    {
        long count = under_way;
        while (count > 0 && !under_way.compare_exchange_weak(count, count - 1)) {
        }
    }
};

/* The one that this thread's options were given last. */
static thread_local ratoon__rocks_listener *made;

static void register_once()
{
    static const bool registered = [] {
        rocksdb::ObjectLibrary::Default()->AddFactory<rocksdb::EventListener>(
            ratoon__rocks_listener::name,
            [](const std::string & /*name*/, std::unique_ptr<rocksdb::EventListener> *guard,
               std::string * /*message*/) -> rocksdb::EventListener * {
                made = new ratoon__rocks_listener;
                guard->reset(made);
                return made;
            });
        return true;
    }();
    static_cast<void>(registered);
}

rocksdb_options_t *ratoon__rocks_listened(rocksdb_options_t *o, ratoon__rocks_listener **listener)
{
    char *message = nullptr;
    *listener = nullptr;
    rocksdb_options_t *with = rocksdb_options_create();
    try {
        made = nullptr;
        register_once();
        const std::string text = std::string("listeners=") + ratoon__rocks_listener::name;
        rocksdb_get_options_from_string(o, text.c_str(), with, &message);
        *listener = message == nullptr ? made : nullptr;
    } catch (const std::exception &) {
        *listener = nullptr;
    }
    rocksdb_free(message);
    rocksdb_options_destroy(*listener != nullptr ? o : with);
    return *listener != nullptr ? with : o;
}

bool ratoon__rocks_listener_close(ratoon__rocks_listener *listener)
{
    if (listener == nullptr) {
        return true;
    }
    listener->closing = true;
    return listener->under_way > 0;
}
