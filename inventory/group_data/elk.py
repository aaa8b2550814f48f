"""What the log server knows beside what every host does."""

from corral.settings import load

__settings = load()

role = "elk"
private_name = __settings.host_name(role)
# Who may ask Kibana and Elasticsearch besides the release server.
client_cidrs = list(__settings.elk.client_cidrs)
authority_key_parameter = __settings.parameter(role, "ca-key")
reader_password_parameter = __settings.parameter(role, "reader-password")
