/* One page: a table of the totals, a table of the sites, four plots a run. Plots of two runs share
 * their scale. */
#include "sim/report.h"

enum { WIDTH = 560, HEIGHT = 180, LEFT = 60, BOTTOM = 20, SHOWN_SITES_MAX = 16 };

static const char *const COLOURS[SHOWN_SITES_MAX] = {
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f",
    "#bcbd22", "#17becf", "#393b79", "#637939", "#8c6d31", "#843c39", "#7b4173", "#3182bd"};

static const char *const TITLES[REPORT_SERIES_COUNT_] = {[REPORT_UTILISATION] = "Utilisation",
                                                         [REPORT_WAIT_H] =
                                                             "Mean wait of what starts, hours",
                                                         [REPORT_COST] = "Energy, money",
                                                         [REPORT_CARBON_KG] = "Carbon, kg"};

/* Names come from files that others wrote. */
static void escaped(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '<')
            buffer_append_text(out, "&lt;");
        else if (c == '>')
            buffer_append_text(out, "&gt;");
        else if (c == '&')
            buffer_append_text(out, "&amp;");
        else if (c == '"')
            buffer_append_text(out, "&quot;");
        else
            buffer_append_char(out, c);
    }
}

struct scale {
    double low, high, until_s;
};

static struct scale scale_of(const struct report *runs, uint32_t count, int series)
{
    struct scale scale = {0, 0, 1};
    for (uint32_t r = 0; r < count; r++) {
        double span = runs[r].bucket_s * runs[r].bucket_count;
        scale.until_s = span > scale.until_s ? span : scale.until_s;
        for (uint32_t s = 0; s < runs[r].site_count && s < SHOWN_SITES_MAX; s++)
            for (uint32_t b = 0; b < runs[r].bucket_count; b++) {
                double value = runs[r].sites[s].series[series][b];
                scale.high = value > scale.high ? value : scale.high;
                scale.low = value < scale.low ? value : scale.low;
            }
    }
    if (!(scale.high > scale.low))
        scale.high = scale.low + 1;
    return scale;
}

static double height_at(const struct scale *scale, double value)
{
    return (HEIGHT - BOTTOM) * (scale->high - value) / (scale->high - scale->low);
}

static void plot(struct buffer *out, const struct report *run, int series,
                 const struct scale *scale)
{
    buffer_printf(out,
                  "<figure><figcaption>%s</figcaption><svg viewBox=\"0 0 %d %d\" role=\"img\">"
                  "<text x=\"0\" y=\"10\">%.4g</text><text x=\"0\" y=\"%d\">%.4g</text>"
                  "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.4g h</text>"
                  "<path class=\"axis\" d=\"M%d 0V%dH%d\"/>",
                  TITLES[series], WIDTH, HEIGHT, scale->high, HEIGHT - BOTTOM, scale->low, WIDTH,
                  HEIGHT - 4, scale->until_s / 3600, LEFT, HEIGHT - BOTTOM, WIDTH);
    for (uint32_t s = 0; s < run->site_count && s < SHOWN_SITES_MAX; s++) {
        buffer_printf(out, "<polyline stroke=\"%s\" points=\"", COLOURS[s]);
        for (uint32_t b = 0; b < run->bucket_count; b++)
            buffer_printf(out, "%.1f,%.1f ",
                          LEFT + (WIDTH - LEFT) * (b + 0.5) * run->bucket_s / scale->until_s,
                          height_at(scale, run->sites[s].series[series][b]));
        buffer_append_text(out, "\"/>");
    }
    buffer_append_text(out, "</svg></figure>\n");
}

static void totals(struct buffer *out, const struct report *runs, uint32_t count)
{
    static const char *const HEADS[] = {"jobs",
                                        "never started",
                                        "did not fit the network",
                                        "killed",
                                        "mean wait, s",
                                        "p99 wait, s",
                                        "mean response, s",
                                        "asked, money",
                                        "energy, money",
                                        "energy, kWh",
                                        "carbon, kg",
                                        "device hours"};
    buffer_append_text(out, "<table><tr><th></th>");
    for (uint32_t r = 0; r < count; r++) {
        buffer_append_text(out, "<th>");
        escaped(out, runs[r].name);
        buffer_append_text(out, "</th>");
    }
    buffer_append_text(out, "</tr>\n");
    for (size_t i = 0; i < sizeof(HEADS) / sizeof(HEADS[0]); i++) {
        buffer_printf(out, "<tr><td>%s</td>", HEADS[i]);
        for (uint32_t r = 0; r < count; r++) {
            const struct report *run = &runs[r];
            const double figures[] = {
                run->jobs,        run->never,      run->misfits,         run->kills,
                run->wait_mean_s, run->wait_p99_s, run->response_mean_s, run->ask,
                run->energy,      run->kwh,        run->carbon_kg,       run->device_hours};
            buffer_printf(out, "<td>%.6g</td>", figures[i]);
        }
        buffer_append_text(out, "</tr>\n");
    }
    buffer_append_text(out, "</table>\n");
}

static void sites(struct buffer *out, const struct report *run)
{
    buffer_append_text(out, "<table><tr><th></th><th>site</th><th>jobs</th><th>killed</th>"
                            "<th>utilisation</th><th>wait, h</th><th>energy, money</th>"
                            "<th>carbon, kg</th></tr>\n");
    for (uint32_t s = 0; s < run->site_count; s++) {
        const struct report_site *site = &run->sites[s];
        buffer_printf(out, "<tr><td style=\"background:%s\"></td><td>",
                      s < SHOWN_SITES_MAX ? COLOURS[s] : "none");
        escaped(out, site->name);
        buffer_printf(out, "</td><td>%.6g</td><td>%.6g</td>", site->jobs, site->kills);
        for (int k = 0; k < REPORT_SERIES_COUNT_; k++)
            buffer_printf(out, "<td>%.4g</td>", site->values[k]);
        buffer_append_text(out, "</tr>\n");
    }
    buffer_append_text(out, "</table>\n");
}

void report_html(const struct report *runs, uint32_t count, struct buffer *out)
{
    buffer_append_text(
        out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>lq sim: ");
    escaped(out, runs[0].name);
    buffer_append_text(
        out, "</title><style>body{font:14px sans-serif;margin:2em}main{display:grid;"
             "grid-template-columns:repeat(auto-fit,minmax(30em,1fr));gap:2em}"
             "table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:2px "
             "8px;text-align:right}td:nth-child(2){text-align:left}figure{margin:0 0 1em}svg{width:"
             "100%;font-size:11px}polyline{fill:none;stroke-width:1.2}.axis{fill:none;stroke:#888}"
             "</style></head><body>\n<h1>Simulation</h1>\n");
    totals(out, runs, count);
    buffer_append_text(out, "<main>\n");
    for (uint32_t r = 0; r < count; r++) {
        buffer_append_text(out, "<section><h2>");
        escaped(out, runs[r].name);
        buffer_append_text(out, "</h2>\n");
        sites(out, &runs[r]);
        if (runs[r].site_count > SHOWN_SITES_MAX)
            buffer_printf(out, "<p>Plots show the first %d sites.</p>\n", SHOWN_SITES_MAX);
        for (int k = 0; k < REPORT_SERIES_COUNT_; k++) {
            struct scale scale = scale_of(runs, count, k);
            plot(out, &runs[r], k, &scale);
        }
        buffer_append_text(out, "</section>\n");
    }
    buffer_append_text(out, "</main></body></html>\n");
}
