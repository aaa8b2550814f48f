"""What app servers know beside what every host does."""

from corral.settings import load

__settings = load()

role = "app"
processes = __settings.app.processes
trial_seconds = __settings.rollout.trial_seconds
database = {
    "host": __settings.host_name("db"),
    "port": 5432,
    "name": __settings.db.database,
    "user": __settings.db.user,
}
database_password_parameter = __settings.parameter("app", "database-password")
