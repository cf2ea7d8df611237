/** One event by one statement, prepared, as node-postgres alone would write it. */
export const INSERT = {
  name: "bare",
  text: `insert into branchline.event (origin, kind, delivery_id, source_id, subject)
    values ($1, $2, $3, $4, $5) returning id`,
};

/** Of the sender, and to the database where each delivery is written by itself. */
export const CONNECTIONS = 32;
