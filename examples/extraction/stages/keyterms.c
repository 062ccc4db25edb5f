/* Finds the terms that say most about documents, without a dictionary: each word of a document
 * gets a vector from the words around it, and those words count whose surroundings resemble the
 * document as a whole.
 *
 *   keyterms BATCH_SIZE TERMS TOTAL EVENTS <LIST     a line of LIST: name, tab, path
 *
 * Prints a line for each document: name, tab, terms. A batch is held in memory at once, every
 * document padded to its longest, as models do that compute on all of a batch in one go. */
#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIMENSIONS = 1024,
    WORDS_MAX = 4096, /* of a document; what comes after is not read */
    WORD_SIZE = 24,
    WINDOW = 3,
    MARKS = 4, /* dimensions in which a word leaves a mark */
    BATCH_MAX = 512,
    LINE_SIZE = 5000,
    TERMS_MAX = 50,
};

typedef struct {
    char name[256];
    char path[LINE_SIZE];
    char (*words)[WORD_SIZE];
    size_t n_words;
} document;

typedef struct {
    const char *word;
    double score;
    size_t count;
} term;

static void fail(int code, const char *what, const char *about)
{
    fprintf(stderr, "%s: %s\n", about, what);
    exit(code);
}

static void *take(size_t size, size_t batch, size_t longest)
{
    void *memory = malloc(size);

    if (memory == NULL) {
        fprintf(stderr,
                "device out of memory. Tried to allocate %.2f MiB for a batch of %zu documents of "
                "up to %zu words\n",
                (double)size / (1 << 20), batch, longest);
        exit(1);
    }
    return memory;
}

static void read_words(document *d, size_t batch)
{
    FILE *file = fopen(d->path, "r");
    size_t length = 0;
    int c;

    if (file == NULL) {
        fail(4, "can't be read", d->path);
    }
    d->words = take(sizeof *d->words * WORDS_MAX, batch, WORDS_MAX);
    d->n_words = 0;
    do {
        c = getc(file);
        if (c != EOF && isalpha(c)) {
            if (length < WORD_SIZE - 1) {
                d->words[d->n_words][length++] = (char)tolower(c);
            }
        } else if (length > 0) {
            d->words[d->n_words++][length] = '\0';
            length = 0;
        }
    } while (c != EOF && d->n_words < WORDS_MAX);
    fclose(file);
}

/* A word's marks: always the same ones, and hardly ever those of another word. */
static void add_marks(float *vector, const char *word)
{
    uint64_t hash = 1469598103934665603u;

    for (; *word != '\0'; word++) {
        hash = (hash ^ (unsigned char)*word) * 1099511628211u;
    }
    for (int i = 0; i < MARKS; i++) {
        hash = hash * 6364136223846793005u + 1442695040888963407u;
        vector[(hash >> 33) % DIMENSIONS] += (hash >> 20) & 1 ? 1.0f : -1.0f;
    }
}

static void embed(const document *d, float *vectors, float *whole)
{
    memset(whole, 0, sizeof(float) * DIMENSIONS);
    for (size_t i = 0; i < d->n_words; i++) {
        float *vector = vectors + i * DIMENSIONS;
        size_t from = i < WINDOW ? 0 : i - WINDOW;

        memset(vector, 0, sizeof(float) * DIMENSIONS);
        for (size_t j = from; j <= i + WINDOW && j < d->n_words; j++) {
            if (j != i && strlen(d->words[j]) > 3) {
                add_marks(vector, d->words[j]);
            }
        }
        for (size_t k = 0; k < DIMENSIONS; k++) {
            whole[k] += vector[k];
        }
    }
}

static double likeness(const float *a, const float *b)
{
    double product = 0;
    double of_a = 0;
    double of_b = 0;

    for (size_t k = 0; k < DIMENSIONS; k++) {
        product += (double)a[k] * (double)b[k];
        of_a += (double)a[k] * (double)a[k];
        of_b += (double)b[k] * (double)b[k];
    }
    return of_a > 0 && of_b > 0 ? product / sqrt(of_a * of_b) : 0;
}

static int by_word(const void *a, const void *b)
{
    return strcmp(((const term *)a)->word, ((const term *)b)->word);
}

static int by_score(const void *a, const void *b)
{
    const term *x = a;
    const term *y = b;

    return x->score < y->score ? 1 : x->score > y->score ? -1 : strcmp(x->word, y->word);
}

static void print_terms(const document *d, const float *vectors, const float *whole, size_t n_terms)
{
    static term terms[WORDS_MAX];
    size_t n = 0;
    size_t unique = 0;

    for (size_t i = 0; i < d->n_words; i++) {
        if (strlen(d->words[i]) > 5) {
            terms[n].word = d->words[i];
            terms[n].score = likeness(vectors + i * DIMENSIONS, whole);
            terms[n++].count = 1;
        }
    }
    qsort(terms, n, sizeof *terms, by_word);
    for (size_t i = 0; i < n; i++) {
        if (unique > 0 && strcmp(terms[unique - 1].word, terms[i].word) == 0) {
            terms[unique - 1].score += terms[i].score;
            terms[unique - 1].count++;
        } else {
            terms[unique++] = terms[i];
        }
    }
    for (size_t i = 0; i < unique; i++) {
        terms[i].score /= sqrt((double)terms[i].count);
    }
    qsort(terms, unique, sizeof *terms, by_score);
    printf("%s\t", d->name);
    for (size_t i = 0; i < n_terms && i < unique; i++) {
        printf("%s%s", i > 0 ? ", " : "", terms[i].word);
    }
    printf("\n");
}

static void extract(document *documents, size_t n, size_t n_terms)
{
    static float whole[DIMENSIONS];
    size_t longest = 1;
    float *batch;

    for (size_t i = 0; i < n; i++) {
        read_words(&documents[i], n);
        longest = documents[i].n_words > longest ? documents[i].n_words : longest;
    }
    batch = take(sizeof(float) * DIMENSIONS * longest * n, n, longest);
    for (size_t i = 0; i < n; i++) {
        float *vectors = batch + i * longest * DIMENSIONS;

        embed(&documents[i], vectors, whole);
        print_terms(&documents[i], vectors, whole, n_terms);
        free(documents[i].words);
    }
    free(batch);
}

int main(int argc, char **argv)
{
    static document documents[BATCH_MAX];
    char line[LINE_SIZE];
    size_t batch_size;
    size_t n_terms;
    size_t n = 0;
    size_t done = 0;
    FILE *events;

    if (argc != 5) {
        fail(4, "expected BATCH_SIZE TERMS TOTAL EVENTS", argv[0]);
    }
    batch_size = strtoul(argv[1], NULL, 10);
    n_terms = strtoul(argv[2], NULL, 10);
    if (batch_size < 1 || batch_size > BATCH_MAX || n_terms < 1 || n_terms > TERMS_MAX) {
        fail(4, "batch size or number of terms out of range", argv[0]);
    }
    events = fopen(argv[4], "a");
    if (events == NULL) {
        fail(4, "can't be written", argv[4]);
    }
    for (int more = 1; more;) {
        more = fgets(line, sizeof line, stdin) != NULL;
        if (more &&
            sscanf(line, "%255[^\t]\t%4999[^\n]", documents[n].name, documents[n].path) == 2) {
            n++;
        }
        if (n == batch_size || (!more && n > 0)) {
            extract(documents, n, n_terms);
            done += n;
            fprintf(
                events,
                "{\"progress\":{\"done\":%zu,\"total\":%lu,\"message\":\"in batches of %zu\"}}\n",
                done, strtoul(argv[3], NULL, 10), batch_size);
            fflush(events);
            n = 0;
        }
    }
    return fclose(events) == 0 && fflush(stdout) == 0 ? 0 : 4;
}
