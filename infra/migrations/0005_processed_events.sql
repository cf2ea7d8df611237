DROP INDEX "branchline"."event_processed";--> statement-breakpoint
CREATE INDEX "event_processed" ON "branchline"."event" USING btree ("processed_at") WHERE processed_at is not null;