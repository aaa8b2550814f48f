"""What app servers know beside what every host does."""

from corral.settings import load

__settings = load()

role = "app"
processes = __settings.app.processes
database = {
    "host": f"db.{__settings.private_zone}",
    "port": 5432,
    "name": __settings.db.database,
    "user": __settings.db.user,
}
database_password_parameter = __settings.parameter("app", "database-password")
