/* The handlers of the routes, by noun. Each runs after permission and ownership have passed. */
#ifndef LQ_SERVER_API_H
#define LQ_SERVER_API_H

#include "server/request.h"

/* api_jobs.c */
void api_jobs_submit(struct request *request);
void api_jobs_dry_run(struct request *request);
void api_jobs_list(struct request *request);
void api_job_show(struct request *request);
void api_job_explain(struct request *request);
void api_job_cancel(struct request *request);
void api_job_retry(struct request *request);

/* api_agent.c */
void api_agent_join(struct request *request);
void api_agent_renew(struct request *request);
void api_agent_sync(struct request *request);

/* api_logs.c */
void api_agent_logs(struct request *request);
void api_job_logs(struct request *request);

/* api_artifacts.c */
void api_chunks_missing(struct request *request);
void api_chunk_put(struct request *request);
void api_chunk_get(struct request *request);
void api_artifact_register(struct request *request);
void api_artifact_show(struct request *request);
void api_artifact_file(struct request *request);
void api_job_artifacts(struct request *request);
void api_agent_artifact_register(struct request *request);
void api_agent_artifact_show(struct request *request);

/* api_datasets.c */
void api_throughput_list(struct request *request);
void api_datasets_list(struct request *request);
void api_dataset_show(struct request *request);
void api_dataset_put(struct request *request);
void api_dataset_delete(struct request *request);

/* api_network.c */
void api_sites_list(struct request *request);
void api_site_show(struct request *request);
void api_site_attempts(struct request *request);
void api_site_put(struct request *request);
void api_site_delete(struct request *request);
void api_site_drain(struct request *request);
void api_site_quarantine(struct request *request);
void api_site_release(struct request *request);
void api_site_resume(struct request *request);
void api_site_destroyed(struct request *request);
void api_regions_list(struct request *request);
void api_region_put(struct request *request);
void api_links_list(struct request *request);
void api_link_put(struct request *request);
void api_policy_show(struct request *request);
void api_policy_put(struct request *request);
void api_catalogue_show(struct request *request);

/* api_accounts.c */
void api_tenants_list(struct request *request);
void api_tenant_create(struct request *request);
void api_tenant_show(struct request *request);
void api_tenant_put(struct request *request);
void api_tenant_delete(struct request *request);
void api_users_list(struct request *request);
void api_user_create(struct request *request);
void api_user_show(struct request *request);
void api_user_put(struct request *request);
void api_tokens_list(struct request *request);
void api_token_create(struct request *request);
void api_token_remake(struct request *request); /* route.remake_secret */
void api_token_delete(struct request *request);
void api_join_token_create(struct request *request);
void api_join_token_remake(struct request *request);
void api_join_tokens_list(struct request *request);
void api_whoami(struct request *request);

/* api_history.c */
void api_history_network(struct request *request);
void api_history_jobs(struct request *request);

/* api_records.c */
void api_usage_sum(struct request *request);
void api_usage_records(struct request *request);
void api_reclaims(struct request *request);
void api_utilisation(struct request *request); /* api_utilisation.c */
void api_audit_list(struct request *request);
void api_events(struct request *request);
void api_stats(struct request *request);

/* api_ops.c */
void api_openapi(struct request *request);
void api_metrics(struct request *request);
void api_healthz(struct request *request);
void api_readyz(struct request *request);

#endif
