/* The file system that RocksDB writes its log with. What a sync costs beside the bytes themselves
 * is what else has to be written for them: the file's new size, and that blocks are in use now,
 * which the file system keeps elsewhere on the disk. So both are done ahead:
 *
 *   - Space for a log file is allocated ahead, by RocksDB; here the file's size is that of the
 *     space. RocksDB has an option for that and sets it itself for log files, so what it set is
 *     changed on the way.
 *   - Where a log file is synced again and again, zeros are written ahead of what is appended, many
 *     blocks at a time, so that most syncs write bytes over others that are on the disk.
 *
 * What is not yet written reads as zeros, which is how a log may end: RocksDB skips zeros there.
 * When a log file is closed it is cut to what was written; only that of a process that was killed
 * is longer.
 *
 * How a file system is named in a text of options is the way in from C. */
#include "log/rocksdb_env.h"

#include <rocksdb/c.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/utilities/object_registry.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <new>
#include <string>

namespace {

using rocksdb::FileOptions;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

const char *const env_name = "ratoon.env";

const size_t ahead = 256 << 10;     /* zeros are written so far ahead, bytes */
const size_t piece_max = ahead / 2; /* but not ahead of as much at once: it would gain nothing */
const unsigned syncs_few = 4;       /* nor before so many syncs: commands end before they pay */

char zeros[ahead]; /* not const, or they would take that much room in every program */

thread_local uint64_t sync_took = 0; /* nanoseconds, of this thread's syncs */

/* A file whose size is limited ends a process that makes it larger: then it is not for us to make
 * it larger than what is written to it. */
bool size_is_limited()
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
}

/* A log file. RocksDB appends to it and syncs it, from several threads; appends come one after
 * another, syncs also while something is appended. */
class log_file : public rocksdb::FSWritableFileOwnerWrapper {
  public:
    log_file(FSWritableFile *file, const std::string &path) /* becomes the owner */
        : FSWritableFileOwnerWrapper(std::unique_ptr<FSWritableFile>(file)),
          fd(size_is_limited() ? -1 : open(path.c_str(), O_WRONLY | O_CLOEXEC))
    {
    }

    ~log_file() override
    {
        stop();
    }

    log_file(const log_file &) = delete;
    log_file &operator=(const log_file &) = delete;

    IOStatus Append(const Slice &data, const IOOptions &options, IODebugContext *dbg) override
    {
        write_ahead(data.size(), options, dbg);
        return FSWritableFileOwnerWrapper::Append(data, options, dbg);
    }

    IOStatus Append(const Slice &data, const IOOptions &options,
                    const rocksdb::DataVerificationInfo &verification, IODebugContext *dbg) override
    {
        write_ahead(data.size(), options, dbg);
        return FSWritableFileOwnerWrapper::Append(data, options, verification, dbg);
    }

    IOStatus Sync(const IOOptions &options, IODebugContext *dbg) override
    {
        syncs.fetch_add(1, std::memory_order_relaxed);
        const auto begin = std::chrono::steady_clock::now();
        IOStatus status = FSWritableFileOwnerWrapper::Sync(options, dbg);
        sync_took += static_cast<uint64_t>(
            std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count());
        return status;
    }

    IOStatus Close(const IOOptions &options, IODebugContext *dbg) override
    {
        stop();
        return FSWritableFileOwnerWrapper::Close(options, dbg);
    }

  private:
    int fd; /* a second one, which has no position that appends depend on; -1: no zeros any more */
    uint64_t zeros_end = 0;
    std::atomic<unsigned> syncs{0};

    void stop()
    {
        if (fd >= 0) {
            close(fd);
            fd = -1;
        }
    }

    /* Before `size` bytes are appended; by whoever appends them, so that nothing comes between the
     * look at the end and the zeros behind it. RocksDB's queue of writers is what keeps appends
     * apart; it is not instrumented, so the thread sanitizer can't know. */
    __attribute__((no_sanitize("thread"))) void write_ahead(size_t size, const IOOptions &options,
                                                            IODebugContext *dbg)
    {
        if (fd < 0 || syncs.load(std::memory_order_relaxed) < syncs_few || size > piece_max) {
            return;
        }
        const uint64_t end = GetFileSize(options, dbg);
        if (end + size <= zeros_end) {
            return;
        }
        const uint64_t from = zeros_end > end ? zeros_end : end;
        if (pwrite(fd, zeros, ahead, static_cast<off_t>(from)) == static_cast<ssize_t>(ahead)) {
            zeros_end = from + ahead;
        } else {
            stop(); /* no room, say; whether there is some for the bytes, appending them tells */
        }
    }
};

struct log_file_system : rocksdb::FileSystemWrapper {
    log_file_system() : FileSystemWrapper(rocksdb::FileSystem::Default())
    {
    }

    const char *Name() const override
    {
        return "ratoon.logs";
    }

    FileOptions OptimizeForLogWrite(const FileOptions &options,
                                    const rocksdb::DBOptions &db) const override
    {
        FileOptions o = FileSystemWrapper::OptimizeForLogWrite(options, db);
        o.fallocate_with_keep_size = size_is_limited();
        return o;
    }

    IOStatus NewWritableFile(const std::string &path, const FileOptions &options,
                             std::unique_ptr<FSWritableFile> *out, IODebugContext *dbg) override
    {
        IOStatus status = FileSystemWrapper::NewWritableFile(path, options, out, dbg);
        if (status.ok() && Slice(path).ends_with(".log")) {
            FSWritableFile *plain = out->release();
            FSWritableFile *with = new (std::nothrow) log_file(plain, path);
            out->reset(with != nullptr ? with : plain); /* without memory, it does without */
        }
        return status;
    }
};

/* Lives as long as the process: RocksDB does not own what it is given as its environment. */
rocksdb::Env *env()
{
    static rocksdb::Env *const made =
        rocksdb::NewCompositeEnv(std::make_shared<log_file_system>()).release();
    return made;
}

void register_once()
{
    static const bool registered = [] {
        rocksdb::ObjectLibrary::Default()->AddFactory<rocksdb::Env>(
            env_name,
            [](const std::string & /*name*/, std::unique_ptr<rocksdb::Env> * /*guard*/,
               std::string * /*message*/) -> rocksdb::Env * { return env(); });
        return true;
    }();
    static_cast<void>(registered);
}

} // namespace

rocksdb_options_t *ratoon__rocks_logs_ahead(rocksdb_options_t *o)
{
    char *message = nullptr;
    bool done = false;
    rocksdb_options_t *with = nullptr;
    try {
        with = rocksdb_options_create();
        register_once();
        const std::string text = std::string("env=") + env_name;
        rocksdb_get_options_from_string(o, text.c_str(), with, &message);
        done = message == nullptr;
    } catch (const std::exception &) {
        done = false;
    }
    rocksdb_free(message);
    if (with != nullptr) {
        rocksdb_options_destroy(done ? o : with);
    }
    return done ? with : o;
}

uint64_t ratoon__rocks_sync_took(void)
{
    const uint64_t took = sync_took;
    sync_took = 0;
    return took;
}
