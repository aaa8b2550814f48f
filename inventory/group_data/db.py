"""What the database server knows beside what every host does."""

from corral.settings import load

__settings = load()

role = "db"
database = {
    "version": __settings.db.version,
    "name": __settings.db.database,
    "user": __settings.db.user,
}
database_password_parameter = __settings.parameter("app", "database-password")
# Each process of each app server has a pool of 4 and a listener, and twice that while a release takes over;
# 20 more are for operators and Postgres's own reserve. 100 is Postgres's default, and no less will do.
max_connections = max(100, __settings.app.max * __settings.app.processes * 5 * 2 + 20)
private_name = __settings.host_name(role)
