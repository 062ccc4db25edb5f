/* The table of commands. A new one: a function, a declaration in command.h, an entry here. */
#include "tools/ratoon/command.h"

const command_option global_options[] = {
    {"store", "DIR", "the store's folder", 0, false},
    {"json", NULL, "documents for programs on standard output", 0, false},
    {"color", "WHEN", "auto, always or never", 0, false},
    {"quiet", NULL, "no progress and no remarks", 'q', false},
    {"wait", "SECONDS", "how long to wait for a store in use (5)", 0, false},
    {"help", NULL, "show help", 'h', false},
    {"version", NULL, "show the version", 0, false},
    {0},
};

#define OPTION_PARAM                                                                               \
    {                                                                                              \
        "param", "NAME=VALUE", "set a parameter", 'p', true                                        \
    }
#define OPTION_JOBS                                                                                \
    {                                                                                              \
        "jobs", "N", "processes at once (as many as processors)", 'j', false                       \
    }
#define OPTION_UNTIL                                                                               \
    {                                                                                              \
        "until", "STAGE", "execute only this stage and what it needs, then suspend", 0, false      \
    }
#define OPTION_KEY                                                                                 \
    {                                                                                              \
        "key", "KEY", "make the request safe to repeat", 0, false                                  \
    }
#define OPTION_TARGET                                                                              \
    {                                                                                              \
        "target", "N", "refuse a pipeline older than this version", 0, false                       \
    }
#define OPTION_AUTO_RETRY                                                                          \
    {                                                                                              \
        "auto-retry", "N", "retry with suggested parameters at most N times", 0, false             \
    }
#define OPTION_FILE                                                                                \
    {                                                                                              \
        "file", "FILE", "use this definition instead of the stored one", 0, false                  \
    }
#define OPTION_ACCEPT                                                                              \
    {                                                                                              \
        "accept-changes", NULL, "accept that definition or files differ", 0, false                 \
    }
#define OPTION_REASON                                                                              \
    {                                                                                              \
        "reason", "TEXT", "why, for the history", 0, false                                         \
    }

static const command_option no_options[] = {{0}};

static const command_option run_options[] = {
    OPTION_PARAM,
    {"state", "FILE", "initial state: a file with a JSON object", 0, false},
    {"subject", "NAME", "the outside thing that the run is about", 0, false},
    OPTION_UNTIL,
    {"resume", NULL, "go on with the pipeline's newest run if it isn't done", 0, false},
    {"force", NULL, "start a new run whatever is there", 0, false},
    OPTION_JOBS,
    OPTION_KEY,
    {"label", "NAME=VALUE", "attach a label", 0, true},
    OPTION_TARGET,
    OPTION_AUTO_RETRY,
    {0},
};

static const command_option resume_options[] = {
    OPTION_UNTIL, OPTION_JOBS, OPTION_FILE, OPTION_ACCEPT, {0},
};

static const command_option retry_options[] = {
    {"from", "STAGE", "start from this stage (the first one not done)", 0, false},
    {"rerun", NULL, "allow going back to a stage that succeeded", 0, false},
    {"only", NULL, "execute that stage alone", 0, false},
    {"items", "MODE", "items to execute: missing, failed or all", 0, false},
    {"item", "KEY", "execute exactly this item (repeatable)", 0, true},
    OPTION_PARAM,
    {"edit", "KEY=JSON", "replace a value of the state it starts from", 0, true},
    {"partial", "include", "start with the failed stage's partial outputs", 0, false},
    {"destructive", NULL, "execute and drop even committed items", 0, false},
    OPTION_ACCEPT,
    OPTION_FILE,
    {"queue", NULL, "wait for the active run of the lineage, then execute", 0, false},
    OPTION_REASON,
    OPTION_KEY,
    {"dry-run", NULL, "only tell what it would do", 0, false},
    {"plan", "TOKEN", "refuse if it would do anything but that preview", 0, false},
    {"no-exec", NULL, "create it without executing it", 0, false},
    OPTION_UNTIL,
    OPTION_JOBS,
    OPTION_TARGET,
    OPTION_AUTO_RETRY,
    {0},
};

static const command_option cancel_options[] = {OPTION_REASON, {0}};

static const command_option wait_options[] = {
    {"timeout", "T", "give up after this time (30s, 2h)", 0, false},
    {0},
};

static const command_option list_options[] = {
    {"status", "STATUS", "only runs with this status (repeatable)", 0, true},
    {"pipeline", "NAME", "only runs of this pipeline", 0, false},
    {"subject", "NAME", "only runs of this subject", 0, false},
    {"in-flight", NULL, "only queued, running and cancelling ones", 0, false},
    {"since", "T", "only runs created since then (RFC 3339, or 90d for 90 days ago)", 0, false},
    {"limit", "N", "at most N runs (50 as text, all with --json; 0: all)", 'n', false},
    {0},
};

static const command_option log_options[] = {
    {"lineage", NULL, "events of the whole tree", 0, false},
    {"raw", "COMMIT", "write the bytes of this commit of the lineage, as they are chained", 0,
     false},
    {0},
};

static const command_option logs_options[] = {
    {"attempt", "N", "this attempt (the last)", 0, false},
    {"item", "KEY", "this item", 0, false},
    {0},
};

static const command_option state_options[] = {
    {"at", "BOUNDARY", "start, end, before:STAGE, after:STAGE or an event number", 0, false},
    {"provenance", NULL, "show which run, stage and attempt made each value", 0, false},
    {0},
};

static const command_option watch_options[] = {
    {"from", "POSITION", "begin at this position (1 is the first; else now)", 0, false},
    {"run", "RUN", "only commits about this run", 0, false},
    {0},
};

static const command_option verify_options[] = {
    {"run", "RUN", "only the lineage of this run", 0, false},
    {"seal", "FILE", "check too that what was sealed is still there", 0, false},
    {"key", "FILE", "the public key of who must have signed the seal", 0, false},
    {"accept-loss", NULL, "go on without commits that are lost, before checking", 0, false},
    {0},
};

static const command_option seal_options[] = {
    {"key", "FILE", "sign with this secret key (seal.key in the store's folder)", 0, false},
    {0},
};

static const command_option stats_options[] = {
    {"pipeline", "NAME", "only this pipeline", 0, false},
    {0},
};

static const command_option export_options[] = {
    {"format", "FORMAT", "jsonl (default), openlineage, trace, dot, mermaid, csv or html", 0,
     false},
    {0},
};

static const command_option import_options[] = {
    {"file", "FILE", "the definition of runs that come without one", 0, false},
    {0},
};

static const command_option delete_options[] = {
    {"lineage", NULL, "the whole lineage: the run, its root and all branches", 0, false},
    {0},
};

static const command_option prune_options[] = {
    {"older-than", "AGE", "lineages that ended longer ago than this (90d)", 0, false},
    {"dry-run", NULL, "only tell what would be deleted", 0, false},
    {0},
};

static const command_option shell_options[] = {
    {"item", "KEY", "with this item of a foreach stage", 0, false},
    {0},
};

static const command_option emit_options[] = {
    {"output", "JSON", "item: its output", 0, false},
    {"error", "TEXT", "item: why it failed", 0, false},
    {0},
};

const command commands[] = {
    {"run", "FILE", "execute a pipeline",
     "The store is created where there is none. Values of secret parameters are taken from the "
     "environment: RATOON_SECRET_NAME.\n"
     "With --resume the newest run of the pipeline decides: a suspended or queued one is resumed, "
     "a "
     "failed or cancelled one is retried from its first stage that isn't done, an active one is "
     "refused; else a new run is started. --force starts a new run in any case.",
     run_options, command_run, false},
    {"resume", "RUN", "go on in the same run, or start a queued one",
     "Only stages that aren't done are executed. A failed or cancelled run can't be resumed, but "
     "retried.",
     resume_options, command_resume, false},
    {"retry", "RUN", "execute a new branch of a run, from one of its stages on",
     "The run itself is not changed: the branch reuses the stages that don't depend on the one it "
     "starts from. --dry-run tells what would be executed and reused, and every refusal.",
     retry_options, command_retry, false},
    {"cancel", "RUN", "cancel a run, whoever executes it", NULL, cancel_options, command_cancel,
     false},
    {"wait", "RUN", "wait until a run ends",
     "The exit code is that of the run's status. A suspended run isn't waited for.", wait_options,
     command_wait, false},
    {"list", "", "list runs, the newest first", NULL, list_options, command_list, false},
    {"show", "RUN", "show a run: status, stages, error, what can be done now", NULL, no_options,
     command_show, false},
    {"tree", "RUN", "show the whole lineage of a run", NULL, no_options, command_tree, false},
    {"log", "RUN", "show the events of a run in order", NULL, log_options, command_log, false},
    {"logs", "RUN STAGE", "print what a stage wrote to stdout and stderr",
     "Both are printed to standard output, stdout first. A reused stage's output is that of the "
     "run "
     "that executed it.",
     logs_options, command_logs, false},
    {"state", "RUN [KEY]", "print the state of a run, or one value of it",
     "With KEY the value alone is printed, a string without its quotes.", state_options,
     command_state, false},
    {"explain", "RUN STAGE", "tell why a stage was executed or reused", NULL, no_options,
     command_explain, false},
    {"diff", "RUN RUN", "compare two runs: parameters, stages, state", NULL, no_options,
     command_diff, false},
    {"stale", "", "list stages whose input was made anew since", NULL, no_options, command_stale,
     false},
    {"stats", "", "tell how often runs and stages succeed, fail, and are helped by a retry",
     "Time saved is what the executions took whose results were reused.", stats_options,
     command_stats, false},
    {"watch", "", "follow what happens in the store", "Ends when interrupted.", watch_options,
     command_watch, false},
    {"annotate", "RUN TEXT", "add a remark to a run's history", NULL, no_options, command_annotate,
     false},
    {"delete", "RUN", "delete a run with its history, for good",
     "A run that has branches, or is one, is deleted only with its whole lineage (--lineage), and "
     "none while any run of it is active. One mark stays in the log: when, by whom and how much "
     "was deleted. Values that nothing else uses and captured output go too.",
     delete_options, command_delete, false},
    {"prune", "", "delete lineages that ended long ago",
     "Lineages with an active run, or of which the newest run is suspended, are kept.",
     prune_options, command_prune, false},
    {"backup", "DIR", "copy the store while it is in use",
     "The copy is a store itself: --store DIR works on it. It holds the secret key as well.",
     no_options, command_backup, false},
    {"restore", "DIR", "make a store from a backup",
     "The store is made where --store says, which must not exist, and verified before it is put "
     "there.",
     no_options, command_restore, false},
    {"verify", "", "check the store for damage and tampering",
     "With the seal that `ratoon seal` wrote earlier it also finds history that was cut off at its "
     "end, lineages that were removed, and chains that were rewritten whole. A lineage that was "
     "deleted since is a notice. Without --key the seal's own key is used, and a warning says that "
     "nothing is known of who signed it.",
     verify_options, command_verify, false},
    {"seal", "FILE", "write a signed seal of what the store holds now",
     "It holds the last commit of each lineage, under one root, and is signed with Ed25519: FILE "
     "is text, its signature FILE.sig. Keep both, and the public key, where those who can change "
     "the store can't: `ratoon verify --seal FILE --key PUBLIC` then proves what was there. "
     "Neither file is overwritten. The store is not verified before.",
     seal_options, command_seal, false},
    {"keygen", "FILE", "make a pair of keys for seals",
     "The secret key becomes FILE, readable to you alone, the public one FILE.pub, both for "
     "openssl, too (PEM). Nothing is overwritten.",
     no_options, command_keygen, false},
    {"export", "[RUN…]", "write lineages in a format for other programs",
     "Whole lineages, those of the given runs or all of the store. jsonl can be imported again "
     "without loss, but for captured output; openlineage, trace (for chrome://tracing), dot, "
     "mermaid, csv and html are for looking at.",
     export_options, command_export, false},
    {"import", "FILE", "add what `export` wrote, or runs from elsewhere",
     "Reads jsonl; - is standard input. All of it is checked before anything is added. What is "
     "there already is skipped, so it can be repeated. A store that --store or RATOON_STORE names "
     "is created where there is none.",
     import_options, command_import, false},
    {"check", "FILE", "check a pipeline file", NULL, no_options, command_check, false},
    {"init", "[FOLDER]", "write an example pipeline", "Nothing that exists is overwritten.",
     no_options, command_init, false},
    {"shell", "RUN STAGE [COMMAND…]", "open a shell with all that a stage would get",
     "It starts in the stage's folder with its environment, parameters, state and item. Nothing is "
     "recorded. A command with options of its own goes behind `--`.",
     shell_options, command_shell, false},
    {"emit", "KIND [WORD…]", "report from within a stage",
     "Writes one line to RATOON_EVENTS:\n"
     "emit progress DONE [TOTAL [MESSAGE]]\n"
     "emit item KEY done|failed|committed [--output JSON] [--error TEXT]\n"
     "emit degraded WHY\n"
     "emit output KEY=TEXT… KEY:=JSON…\n"
     "emit consumes RUN\n"
     "emit external-ref TEXT",
     emit_options, command_emit, false},
    {"completion", "SHELL", "print completions for bash, zsh or fish",
     "For bash: eval \"$(ratoon completion bash)\"", no_options, command_completion, false},
    {"help", "[COMMAND]", "show help", NULL, no_options, command_help, false},
    {"version", "", "show the version", NULL, no_options, command_version, false},
    {"__man", "", "print the source of the manual page", NULL, no_options, command_manual, true},
    {0},
};
