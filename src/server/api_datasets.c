/* Datasets: named content of a tenant. Throughput: what was measured of its workloads. */
#include <string.h>

#include "base/assert.h"
#include "server/api.h"
#include "server/docs.h"
#include "server/requests.h"

static bool sees_dataset(const struct request *request, const struct doc_value *value)
{
    struct subject subject = {.tenant = value->dataset.tenant};
    return request_may(request, PERM_DATASET_READ, &subject);
}

void api_datasets_list(struct request *request)
{
    docs_list(request, DOC_DATASET, sees_dataset);
}

static bool sees_throughput(const struct request *request, const struct doc_value *value)
{
    struct subject subject = {.tenant = value->throughput.tenant};
    return request_may(request, PERM_JOB_READ, &subject);
}

void api_throughput_list(struct request *request)
{
    docs_list(request, DOC_THROUGHPUT, sees_throughput);
}

/* The id of the named dataset of the request's tenant; false: answered. */
static bool named_dataset(struct request *request, char out_id[ID_TEXT_MAX])
{
    const struct dataset *dataset =
        directory_dataset(request->server->directory, request->actor.tenant, request->params[0]);
    if (dataset == NULL) {
        request_problem(request, 404, "not_found", "the tenant has no dataset \"%.*s\"",
                        SLICE_ARG(request->params[0]));
        return false;
    }
    id_format(dataset->id.id, ID_PREFIX_DATASET, out_id);
    return true;
}

void api_dataset_show(struct request *request)
{
    char id[ID_TEXT_MAX];
    if (named_dataset(request, id))
        docs_show(request, DOC_DATASET, slice_of(id));
}

/* Jobs that were submitted before keep the content that they were given. */
void api_dataset_delete(struct request *request)
{
    char id[ID_TEXT_MAX];
    if (named_dataset(request, id))
        docs_delete(request, DOC_DATASET, slice_of(id), "dataset.delete");
}

static void on_content(struct request *request, const struct store_answer *answer)
{
    struct doc_value *value = request->extra;
    const struct artifact_row *row =
        answer == NULL || answer->count == 0 ? NULL : &answer->artifacts[0];
    if (row == NULL || !id_is_equal(row->tenant.id, value->dataset.tenant.id) ||
        row->kind != ARTIFACT_WORKDIR) {
        request_problem(request, 422, "invalid",
                        "artifact: the tenant has no uploaded folder of that id");
        return;
    }
    value->dataset.size_bytes = row->size_bytes;
    docs_put(request, value, false, "dataset.put", (struct slice){0});
}

void api_dataset_put(struct request *request)
{
    struct store_query query = {.kind = STORE_ARTIFACT_GET};
    struct doc_value *value = requests_alloc(request, sizeof(*value));
    if (value == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    if (!docs_body(request, DOC_DATASET, value))
        return;
    if (!slice_is_equal(value->dataset.name, request->params[0])) {
        request_problem(request, 422, "invalid", "the path says \"%.*s\" and the body \"%.*s\"",
                        SLICE_ARG(request->params[0]), SLICE_ARG(value->dataset.name));
        return;
    }
    if (id_is_none(value->dataset.artifact)) {
        request_problem(request, 422, "invalid",
                        "artifact: is required: the id of an uploaded folder");
        return;
    }
    value->dataset.tenant = request->actor.tenant;
    const struct dataset *standing =
        directory_dataset(request->server->directory, value->dataset.tenant, value->dataset.name);
    value->dataset.id =
        standing != NULL ? standing->id : (struct dataset_id){server_make_id(request->server)};
    request->extra = value;
    query.artifact_get.id = value->dataset.artifact;
    request_query_maybe(request, &query, on_content);
}
