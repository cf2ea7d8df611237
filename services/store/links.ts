/** Which pushes an event led to, as a condition: the marks that both carry, and what each was about. */
import { type SQL, sql } from "drizzle-orm";
import { seesEvent, seesPush, type Visible } from "./visible.ts";

/**
 * Of the aliases `e` (event), `p` (push), `pl` (place) and `d` (destination). A look at a source may find several
 * branches: all that came of it counts, but what is about one branch leads only to pushes of that one.
 */
export const ledTo = sql`(
  p.causes && array[e.processed_at, e.received_at] and case
    when e.source_id is null then e.subject->>'destination' = d.name and e.subject->>'place' = pl.key
    else exists (
      select from branchline.binding en join branchline.branch eb on eb.id = en.branch_id
      where en.id = any(p.bindings) and eb.source_id = e.source_id
        and (e.origin <> 'watch' or e.subject->>'neonId' is null or eb.neon_id = e.subject->>'neonId'))
  end)`;

/** Ids that are shown with an event; all of them are a list of their own. */
const SHOWN = 20;

/** The newest pushes that an event `e` led to, as a JSON array of ids. */
export const pushesOf = (visible: Visible | null): SQL => sql`coalesce((
    select jsonb_agg(id order by started_at desc, id desc) from (
      select p.id, p.started_at from branchline.push p
      join branchline.place pl on pl.id = p.place_id
      join branchline.destination d on d.id = pl.destination_id
      where ${ledTo} and ${seesPush(visible)}
      order by p.started_at desc, p.id desc limit ${sql.raw(String(SHOWN))}
    ) led), '[]'::jsonb)`;

/** That the event `e` led to this push. */
export const ledToPush = (pushId: string | undefined, visible: Visible | null): SQL | null =>
  pushId === undefined
    ? null
    : sql`exists (
        select from branchline.push p
        join branchline.place pl on pl.id = p.place_id
        join branchline.destination d on d.id = pl.destination_id
        where p.id = ${pushId} and ${ledTo} and ${seesPush(visible)})
      and (e.processed_at = any(select unnest(causes) from branchline.push where id = ${pushId})
        or e.received_at = any(select unnest(causes) from branchline.push where id = ${pushId}))`;

/** That the push `p` came of this event, if the event may be seen. */
export const cameOf = (eventId: string | undefined, visible: Visible | null): SQL | null =>
  eventId === undefined
    ? null
    : sql`exists (
        select from branchline.event e
        left join branchline.source s on s.id = e.source_id
        left join branchline.branch b on b.id = e.branch_id
        where e.id = ${eventId}::bigint and ${ledTo} and ${seesEvent(visible)})
      and p.causes && (select array[processed_at, received_at] from branchline.event where id = ${eventId}::bigint)`;
