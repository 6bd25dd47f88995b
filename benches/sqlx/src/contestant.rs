//! The operations through a pool of sqlx, which are the same on either engine but for its types.

/// Makes a contestant `$Contestant` over a pool, for an engine that counts `$updated` rows where an upsert changed one. A
/// statement whose error is one of which `$is_repeated` says so is simply repeated.
macro_rules! contestant {
    ($Contestant:ident, $Pool:ident, $Engine:ident, $Row:ident, $STATEMENTS:ident, $updated:literal, $is_repeated:expr) => {
        /// A pool and what its answers must be.
        pub struct $Contestant {
            pool: $Pool,
            rows: Rows,
        }

        type Query<'q> = sqlx::query::Query<'q, sqlx::$Engine, <sqlx::$Engine as sqlx::Database>::Arguments>;

        impl Operate for $Contestant {
            async fn operate(&self, work: &Work, index: u64) -> Result<u64> {
                let rows = &self.rows;
                let changed = |affected: u64, expected: u64| {
                    ensure!(affected == expected, "{affected} rows affected instead of {expected}");
                    Ok(1)
                };
                match work.operation {
                    Operation::Get => rows.check_state(index, self.get(rows.state(index)).await?),
                    Operation::UpsertExisting | Operation::UpsertBurst => {
                        changed(self.upsert(&rows.existing(index)).await?, $updated)
                    }
                    Operation::UpsertNew => changed(self.upsert(&rows::new_state(index)).await?, 1),
                    Operation::Window => {
                        let query = sqlx::query($STATEMENTS.since).bind(rows::before_now(rows::window()));
                        rows.check_list(&query.try_map(state).fetch_all(&self.pool).await?, rows::WINDOW_ROWS)
                    }
                    Operation::All => {
                        let query = sqlx::query($STATEMENTS.all);
                        rows.check_list(&query.try_map(state).fetch_all(&self.pool).await?, rows::ROWS)
                    }
                    Operation::WindowSorted => {
                        let query = sqlx::query(unsorted($STATEMENTS.since)).bind(rows::before_now(rows::window()));
                        rows.sort_list(query.try_map(state).fetch_all(&self.pool).await?, rows::WINDOW_ROWS)
                    }
                    Operation::AllSorted => {
                        let query = sqlx::query(unsorted($STATEMENTS.all));
                        rows.sort_list(query.try_map(state).fetch_all(&self.pool).await?, rows::ROWS)
                    }
                    Operation::OwnershipGet => {
                        rows.check_ownership(index, self.ownership(rows.ownership(index)).await?)
                    }
                    Operation::OwnershipUpsert => {
                        changed(self.upsert_ownership(&rows.existing_ownership(index)).await?, $updated)
                    }
                    Operation::Cleanup => {
                        let before = rows::before_now(work.max_age(index));
                        self.write(|| sqlx::query($STATEMENTS.cleanup).bind(before)).await
                    }
                }
            }
        }

        impl $Contestant {
            async fn get(&self, key: &MessageState) -> Result<Option<MessageState>> {
                let read = |row: $Row| {
                    Ok(MessageState {
                        id: row.try_get(0)?,
                        channel_id: key.channel_id.clone(),
                        thread_id: key.thread_id.clone(),
                        last_message_id: row.try_get(1)?,
                        last_seen_timestamp: row.try_get(2)?,
                        created_at: row.try_get(3)?,
                        updated_at: row.try_get(4)?,
                    })
                };
                let query = sqlx::query($STATEMENTS.get).bind(&key.channel_id).bind(&key.thread_id);
                Ok(query.try_map(read).fetch_optional(&self.pool).await?)
            }

            async fn upsert(&self, state: &MessageState) -> Result<u64> {
                let now = rows::now();
                let query = || {
                    sqlx::query($STATEMENTS.upsert)
                        .bind(&state.channel_id)
                        .bind(&state.thread_id)
                        .bind(&state.last_message_id)
                        .bind(state.last_seen_timestamp)
                        .bind(if state.created_at == 0 { now } else { state.created_at })
                        .bind(now)
                };
                self.write(query).await
            }

            async fn ownership(&self, key: &ThreadOwnership) -> Result<Option<ThreadOwnership>> {
                let read = |row: $Row| {
                    Ok(ThreadOwnership {
                        id: row.try_get(0)?,
                        thread_id: key.thread_id.clone(),
                        original_user_id: row.try_get(1)?,
                        created_by: row.try_get(2)?,
                        creation_time: row.try_get(3)?,
                        created_at: row.try_get(4)?,
                        updated_at: row.try_get(5)?,
                    })
                };
                let query = sqlx::query($STATEMENTS.ownership).bind(&key.thread_id);
                Ok(query.try_map(read).fetch_optional(&self.pool).await?)
            }

            async fn upsert_ownership(&self, ownership: &ThreadOwnership) -> Result<u64> {
                let now = rows::now();
                let query = || {
                    sqlx::query($STATEMENTS.upsert_ownership)
                        .bind(&ownership.thread_id)
                        .bind(&ownership.original_user_id)
                        .bind(&ownership.created_by)
                        .bind(ownership.creation_time)
                        .bind(now)
                        .bind(now)
                };
                self.write(query).await
            }

            /// Says how many rows were affected.
            async fn write<'q>(&self, query: impl Fn() -> Query<'q>) -> Result<u64> {
                loop {
                    match query().execute(&self.pool).await {
                        Err(error) if $is_repeated(&error) => {}
                        result => return Ok(result?.rows_affected()),
                    }
                }
            }
        }

        fn state(row: $Row) -> sqlx::Result<MessageState> {
            Ok(MessageState {
                id: row.try_get(0)?,
                channel_id: row.try_get(1)?,
                thread_id: row.try_get(2)?,
                last_message_id: row.try_get(3)?,
                last_seen_timestamp: row.try_get(4)?,
                created_at: row.try_get(5)?,
                updated_at: row.try_get(6)?,
            })
        }
    };
}
pub(crate) use contestant;
