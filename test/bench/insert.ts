/** One event by one statement, prepared, as node-postgres alone would write it. */
export const INSERT = {
  name: "bare",
  text: `insert into branchline.event (origin, kind, delivery_id, source_id, subject)
    values ($1, $2, $3, $4, $5) returning id`,
};

/** The same, and what is needed for somebody to look at it: the source is due. In one statement, hence one commit. */
export const INSERT_AND_DUE = {
  name: "bare and due",
  text: `with due as (
      update branchline.source set due_at = least(coalesce(due_at, 'infinity'), now()), revision = revision + 1
      where id = $4
    )
    ${INSERT.text}`,
};

/** Of the sender, and to the database where each delivery is written by itself. */
export const CONNECTIONS = 32;
