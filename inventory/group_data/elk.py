"""What the log server knows beside what every host does."""

from corral.settings import load

__settings = load()

role = "elk"
private_name = __settings.host_name(role)
# Who may ask Kibana and Elasticsearch besides the release server.
client_cidrs = list(__settings.elk.client_cidrs)
authority_key_parameter = __settings.parameter(role, "ca-key")
reader_password_parameter = __settings.parameter(role, "reader-password")

# Elasticsearch's, Logstash's and Kibana's own: docs/log-server.md.
log_days = __settings.logs.days
snapshot_days = __settings.elk.snapshot_days
heap_mib = __settings.elk.heap_mib
accounts_prefix = f"{__settings.parameter_prefix}/{role}"
# Of the volume, for lines that Elasticsearch has not taken yet.
queue_mib = max(256, __settings.elk.data_gib * 1024 // 8)
