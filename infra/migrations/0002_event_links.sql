ALTER TABLE "branchline"."binding" ADD COLUMN "causes" timestamp(6) with time zone[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "branchline"."branch" ADD COLUMN "noticed" timestamp(6) with time zone[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "branchline"."place" ADD COLUMN "causes" timestamp(6) with time zone[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "branchline"."push" ADD COLUMN "causes" timestamp(6) with time zone[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
CREATE INDEX "event_commit" ON "branchline"."event" USING btree ("source_id",(subject->>'sha')) WHERE subject ? 'sha';--> statement-breakpoint
CREATE INDEX "event_processed" ON "branchline"."event" USING btree ("processed_at");--> statement-breakpoint
CREATE INDEX "push_causes" ON "branchline"."push" USING gin ("causes");