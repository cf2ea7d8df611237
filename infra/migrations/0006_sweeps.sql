DROP INDEX "branchline"."place_sweep";--> statement-breakpoint
ALTER TABLE "branchline"."place" ADD COLUMN "sweep_tries" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX "place_container" ON "branchline"."place" USING btree ("destination_id","container");--> statement-breakpoint
CREATE INDEX "place_sweep" ON "branchline"."place" USING btree ("destination_id","sweep_at");