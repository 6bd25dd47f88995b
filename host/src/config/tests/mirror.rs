//! A second database.

use super::*;

#[test]
fn a_mirror_is_another_database_with_what_else_the_environment_says() {
    let given = [
        ("COFFERDAM_MIRROR", "mysql://bot@db:3307/state"),
        ("COFFERDAM_MIRROR_PASSWORD", PASSWORD),
        ("COFFERDAM_SHADOW_READS", "0.01"),
        ("COFFERDAM_SPOOL", "/tmp/spool"),
        ("COFFERDAM_OPERATION_TIMEOUT", "3s"),
    ];
    let config = read(&given).unwrap();
    assert!(matches!(config.database, DatabaseConfig::Sqlite(_)));
    let mirror = config.mirror.unwrap();
    assert_eq!((mirror.name.as_str(), mirror.shadow_reads), ("mysql://bot@db:3307/state", 0.01));
    let DatabaseConfig::Mysql(mysql) = &mirror.config.database else { panic!("{mirror:?}") };
    assert_eq!((mysql.hosts[0].to_string().as_str(), mysql.password.expose()), ("db:3307", PASSWORD));
    assert_eq!(mirror.config.timeouts.operation, Duration::from_secs(3));
    assert!(mirror.config.resilience.spool.is_none() && mirror.config.mirror.is_none());
    assert!(!format!("{mirror:?}").contains(PASSWORD));
}

#[test]
fn the_roles_are_exchanged_by_two_variables() {
    let both = [("DATABASE_PATH", "/data/bot.db"), ("MYSQL_HOST", "db"), ("MYSQL_DATABASE", "state")];
    let own = [("MYSQL_USERNAME", "bot"), ("MYSQL_PASSWORD", PASSWORD)];
    let before = [("DATABASE_TYPE", "sqlite"), ("COFFERDAM_MIRROR", "mysql://bot@db/state")];
    let after = [("DATABASE_TYPE", "mysql"), ("COFFERDAM_MIRROR", "sqlite:/data/bot.db")];
    let with = |two: [_; 2]| read(&[&both[..], &own, &two].concat()).unwrap();
    let (before, after) = (with(before), with(after));
    let debug = |database: &DatabaseConfig| format!("{database:?}");
    assert_eq!(debug(&before.database), debug(&after.mirror.as_ref().unwrap().config.database));
    assert_eq!(debug(&before.mirror.as_ref().unwrap().config.database), debug(&after.database));
}

#[test]
fn a_mirror_that_cannot_be_one_is_refused() {
    let mirror = |value| read(&[("COFFERDAM_MIRROR", value), ("MYSQL_PASSWORD", "x"), ("DATABASE_PATH", "/data/a.db")]);
    let with_password = format!("mysql://bot:{PASSWORD}@db/state");
    one_mistake(mirror("postgres://bot@db/state"), "COFFERDAM_MIRROR", "begins with none");
    one_mistake(mirror(&with_password), "COFFERDAM_MIRROR", "there is a password in the URL");
    one_mistake(mirror("sqlite:/data/a.db"), "COFFERDAM_MIRROR", "the bot's own database");
    one_mistake(read(&[("COFFERDAM_MIRROR", "mysql://bot@db/s")]), "COFFERDAM_MIRROR", "MYSQL_PASSWORD");
    let own = [("MYSQL_HOST", "a,b"), ("MYSQL_DATABASE", "state"), ("COFFERDAM_MIRROR", "mysql://other@b/state")];
    one_mistake(read_mysql(&own), "COFFERDAM_MIRROR", "the bot's own database");
    for share in ["1.5", "-0.1", "NaN", "many"] {
        one_mistake(read(&[("COFFERDAM_SHADOW_READS", share)]), "COFFERDAM_SHADOW_READS", "0 for none to 1 for all");
    }
    // What is wrong for both is told once.
    let both = [("COFFERDAM_MIRROR", "sqlite:/data/b.db"), ("COFFERDAM_RETRY_ATTEMPTS", "many")];
    one_mistake(read(&both), "COFFERDAM_RETRY_ATTEMPTS", "a whole number");
}
