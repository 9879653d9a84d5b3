#include "report.h"

#include <inttypes.h>

/* JSON string of bytes that need not be UTF-8: what is not plain ASCII becomes an escape. */
static void put_string(FILE *out, const unsigned char *text, size_t len)
{
    (void)fputc('"', out);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\') {
            (void)fprintf(out, "\\%c", text[i]);
        } else if (text[i] < 0x20 || text[i] >= 0x7f) {
            (void)fprintf(out, "\\u%04x", text[i]);
        } else {
            (void)fputc(text[i], out);
        }
    }
    (void)fputc('"', out);
}

static void put_text(FILE *out, const char *text)
{
    size_t len = 0;

    while (text[len] != '\0') {
        len++;
    }
    put_string(out, (const unsigned char *)text, len);
}

void lm_report_start(const struct lm_report *r, const struct lm_report_start *s)
{
    if (r->quiet) {
        return;
    }
    (void)fprintf(r->out,
                  r->json ? "{\"event\":\"start\",\"params\":%" PRIu64 ",\"layers\":%" PRIu32
                            ",\"width\":%" PRIu32 ",\"heads\":%" PRIu32 ",\"context\":%" PRIu32
                            ",\"batch\":%" PRIu32 ",\"text_bytes\":%" PRIu64 ",\"nodes\":%" PRIu32
                            ",\"threads\":%" PRIu32 ",\"kernel\":\"%s\"}\n"
                          : "model of %" PRIu64 " parameters (%" PRIu32 " layers, width %" PRIu32
                            ", %" PRIu32 " heads, context %" PRIu32 "), batch %" PRIu32
                            ", text of %" PRIu64 " bytes, %" PRIu32 " node(s), %" PRIu32
                            " thread(s), %s\n",
                  s->params, s->layers, s->width, s->heads, s->context, s->batch, s->text_bytes,
                  s->nodes, s->threads, s->kernel);
}

void lm_report_step(const struct lm_report *r, uint64_t step, double loss, double tokens_per_s,
                    double lr)
{
    if (r->quiet) {
        return;
    }
    if (r->json) {
        (void)fprintf(r->out,
                      "{\"event\":\"step\",\"step\":%" PRIu64
                      ",\"loss\":%.6f,\"tokens_per_s\":%.0f,\"lr\":%.6g}\n",
                      step, loss, tokens_per_s, lr);
    } else {
        (void)fprintf(r->out, "step %" PRIu64 " loss %.4f tokens/s %.0f\n", step, loss,
                      tokens_per_s);
    }
}

void lm_report_validation(const struct lm_report *r, uint64_t step, double loss)
{
    if (!r->quiet) {
        (void)fprintf(r->out,
                      r->json ? "{\"event\":\"validation\",\"step\":%" PRIu64 ",\"loss\":%.6f}\n"
                              : "step %" PRIu64 " validation loss %.4f\n",
                      step, loss);
    }
}

static void step_and_file(const struct lm_report *r, const char *event, const char *words,
                          uint64_t step, const char *checkpoint)
{
    if (r->quiet) {
        return;
    }
    if (r->json) {
        (void)fprintf(r->out, "{\"event\":\"%s\",\"step\":%" PRIu64 ",\"checkpoint\":", event,
                      step);
        put_text(r->out, checkpoint);
        (void)fputs("}\n", r->out);
    } else {
        (void)fprintf(r->out, "%s step %" PRIu64 " (checkpoint %s)\n", words, step, checkpoint);
    }
}

void lm_report_resumed(const struct lm_report *r, uint64_t step, const char *checkpoint)
{
    step_and_file(r, "resumed", "resumed from", step, checkpoint);
}

void lm_report_checkpoint(const struct lm_report *r, uint64_t step, const char *checkpoint)
{
    step_and_file(r, "checkpoint", "saved", step, checkpoint);
}

void lm_report_preempted(const struct lm_report *r, uint64_t step, bool saved)
{
    if (r->quiet) {
        return;
    }
    if (r->json) {
        (void)fprintf(r->out, "{\"event\":\"preempted\",\"step\":%" PRIu64 ",\"saved\":%s}\n", step,
                      saved ? "true" : "false");
    } else {
        (void)fprintf(r->out, "stopped at step %" PRIu64 " when asked; %s\n", step,
                      saved ? "run again to go on from here" : "nothing of it was saved");
    }
}

void lm_report_done(const struct lm_report *r, uint64_t step, double loss, double validation)
{
    if (!r->quiet) {
        (void)fprintf(r->out,
                      r->json ? "{\"event\":\"done\",\"step\":%" PRIu64
                                ",\"loss\":%.6f,\"validation_loss\":%.6f}\n"
                              : "done step %" PRIu64 " loss %.4f validation loss %.4f\n",
                      step, loss, validation);
    }
}

void lm_report_sample(const struct lm_report *r, const unsigned char *text, size_t len)
{
    if (r->quiet) {
        return;
    }
    if (r->json) {
        (void)fputs("{\"event\":\"sample\",\"text\":", r->out);
        put_string(r->out, text, len);
        (void)fputs("}\n", r->out);
        return;
    }
    (void)fputs("sample:\n", r->out);
    for (size_t i = 0; i < len; i++) {
        bool plain = text[i] == '\n' || (text[i] >= 0x20 && text[i] < 0x7f);
        (void)fputc(plain ? text[i] : '?', r->out); /* never send a terminal odd bytes */
    }
    (void)fputc('\n', r->out);
}

void lm_report_line(const struct lm_report *r, const char *event, const char *line)
{
    if (r->json) {
        (void)fprintf(r->out, "{\"event\":\"%s\",\"message\":", event);
        put_text(r->out, line);
        (void)fputs("}\n", r->out);
    } else {
        (void)fprintf(r->out, "%s\n", line);
    }
}
