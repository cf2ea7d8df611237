CREATE SCHEMA IF NOT EXISTS "branchline";
--> statement-breakpoint
CREATE TABLE "branchline"."allowance" (
	"account" text PRIMARY KEY NOT NULL,
	"books" json NOT NULL,
	"revision" uuid NOT NULL
);
--> statement-breakpoint
CREATE TABLE "branchline"."audit" (
	"seq" bigint PRIMARY KEY NOT NULL,
	"at" timestamp (6) with time zone NOT NULL,
	"actor" text NOT NULL,
	"action" text NOT NULL,
	"object" text NOT NULL,
	"request_id" text,
	"source_address" text,
	"details" jsonb NOT NULL,
	"previous" text NOT NULL,
	"hash" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "branchline"."binding" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"rule_id" uuid NOT NULL,
	"branch_id" uuid NOT NULL,
	"place_id" uuid,
	"wanted" bigint DEFAULT 0 NOT NULL,
	"applied" bigint DEFAULT 0 NOT NULL,
	"inputs" text,
	"logins" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"leaving" boolean DEFAULT false NOT NULL,
	"state" text DEFAULT 'pending' NOT NULL,
	"since" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"code" text,
	"cause" text,
	"next" text,
	"warning" text,
	"suspended_at" timestamp (6) with time zone,
	"adopt" jsonb,
	"applied_at" timestamp (6) with time zone
);
--> statement-breakpoint
CREATE TABLE "branchline"."branch" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"due_at" timestamp (6) with time zone,
	"revision" bigint DEFAULT 0 NOT NULL,
	"queued_until" timestamp (6) with time zone,
	"lease_until" timestamp (6) with time zone,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"deaths" integer DEFAULT 0 NOT NULL,
	"code" text,
	"cause" text,
	"next" text,
	"source_id" uuid NOT NULL,
	"neon_id" text NOT NULL,
	"endpoint_id" text,
	"host" text,
	"name" text NOT NULL,
	"is_default" boolean NOT NULL,
	"is_protected" boolean NOT NULL,
	"parent_neon_id" text,
	"state" text NOT NULL,
	"annotations" jsonb NOT NULL,
	"neon_created_at" timestamp (6) with time zone NOT NULL,
	"expires_at" timestamp (6) with time zone,
	"facts" text NOT NULL,
	"created_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"missed" integer DEFAULT 0 NOT NULL,
	"gone_at" timestamp (6) with time zone,
	"read_at" timestamp (6) with time zone,
	"held_until" timestamp (6) with time zone,
	"held_reason" text
);
--> statement-breakpoint
CREATE TABLE "branchline"."configuration" (
	"one" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"revision" bigint,
	"digest" text NOT NULL,
	"version" bigint DEFAULT 0 NOT NULL,
	"settings" jsonb NOT NULL,
	"applied_at" timestamp (6) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "branchline"."destination" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"name" text NOT NULL,
	"kind" text NOT NULL,
	"block" jsonb NOT NULL,
	"account" text,
	"in_flight" integer NOT NULL,
	"suspended_at" timestamp (6) with time zone,
	"removed_at" timestamp (6) with time zone
);
--> statement-breakpoint
CREATE TABLE "branchline"."event" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"origin" text NOT NULL,
	"kind" text NOT NULL,
	"delivery_id" text,
	"source_id" uuid,
	"branch_id" uuid,
	"subject" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"received_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"outcome" text DEFAULT 'pending' NOT NULL,
	"reason" text,
	"processed_at" timestamp (6) with time zone
);
--> statement-breakpoint
CREATE TABLE "branchline"."installation" (
	"one" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"sealed_key" text NOT NULL,
	"identity" text NOT NULL,
	"created_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"suspended_at" timestamp (6) with time zone,
	"suspended_why" text
);
--> statement-breakpoint
CREATE TABLE "branchline"."ledger" (
	"place_id" uuid NOT NULL,
	"name" text NOT NULL,
	"binding_id" uuid NOT NULL,
	"fingerprint" text,
	"version" text,
	"claimed_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"claims" text[] DEFAULT '{}' NOT NULL,
	"confirmed" boolean DEFAULT false NOT NULL,
	"deleting" boolean DEFAULT false NOT NULL,
	"written_at" timestamp (6) with time zone,
	"drifts" integer DEFAULT 0 NOT NULL,
	"drifts_since" timestamp (6) with time zone,
	"login_id" uuid,
	"generation" bigint,
	"value_since" timestamp (6) with time zone,
	CONSTRAINT "ledger_place_id_name_pk" PRIMARY KEY("place_id","name")
);
--> statement-breakpoint
CREATE TABLE "branchline"."login" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"branch_id" uuid NOT NULL,
	"role" text NOT NULL,
	"database" text NOT NULL,
	"generation" bigint DEFAULT 0 NOT NULL,
	"fingerprint" text NOT NULL,
	"password_fingerprint" text NOT NULL,
	"changed_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"proven_fingerprint" text,
	"proven_at" timestamp (6) with time zone
);
--> statement-breakpoint
CREATE TABLE "branchline"."place" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"due_at" timestamp (6) with time zone,
	"revision" bigint DEFAULT 0 NOT NULL,
	"queued_until" timestamp (6) with time zone,
	"lease_until" timestamp (6) with time zone,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"deaths" integer DEFAULT 0 NOT NULL,
	"code" text,
	"cause" text,
	"next" text,
	"destination_id" uuid NOT NULL,
	"key" text NOT NULL,
	"container" text NOT NULL,
	"target" jsonb NOT NULL,
	"settle_at" timestamp (6) with time zone,
	"shared" boolean DEFAULT false NOT NULL,
	"reference" text,
	"intent" uuid,
	"intent_fingerprint" text,
	"token" uuid,
	"sweep_at" timestamp (6) with time zone
);
--> statement-breakpoint
CREATE TABLE "branchline"."push" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"place_id" uuid NOT NULL,
	"intent" uuid,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"started_at" timestamp (6) with time zone NOT NULL,
	"finished_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"outcome" text NOT NULL,
	"code" text,
	"cause" text,
	"next" text,
	"written" integer DEFAULT 0 NOT NULL,
	"deleted" integer DEFAULT 0 NOT NULL,
	"calls" integer DEFAULT 0 NOT NULL,
	"steps" jsonb NOT NULL,
	"bindings" uuid[] NOT NULL,
	"results" jsonb DEFAULT '{}'::jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "branchline"."repeat" (
	"owner" text NOT NULL,
	"key" text NOT NULL,
	"request" text NOT NULL,
	"began_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp (6) with time zone,
	"status" integer,
	"body" text,
	CONSTRAINT "repeat_owner_key_pk" PRIMARY KEY("owner","key")
);
--> statement-breakpoint
CREATE TABLE "branchline"."rule" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"name" text NOT NULL,
	"source_id" uuid NOT NULL,
	"destination_id" uuid NOT NULL,
	"definition" jsonb NOT NULL,
	"revision" bigint DEFAULT 0 NOT NULL,
	"orphaned_at" timestamp (6) with time zone,
	"pruned_at" timestamp (6) with time zone
);
--> statement-breakpoint
CREATE TABLE "branchline"."source" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"due_at" timestamp (6) with time zone,
	"revision" bigint DEFAULT 0 NOT NULL,
	"queued_until" timestamp (6) with time zone,
	"lease_until" timestamp (6) with time zone,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"deaths" integer DEFAULT 0 NOT NULL,
	"code" text,
	"cause" text,
	"next" text,
	"name" text NOT NULL,
	"kind" text NOT NULL,
	"identity" text NOT NULL,
	"block" jsonb NOT NULL,
	"cursor" text,
	"listed_at" timestamp (6) with time zone,
	"held_since" timestamp (6) with time zone,
	"confirmed" uuid[] DEFAULT '{}' NOT NULL,
	"watched_revision" bigint DEFAULT 0 NOT NULL,
	"removed_at" timestamp (6) with time zone
);
--> statement-breakpoint
CREATE TABLE "branchline"."token" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"name" text NOT NULL,
	"hash" "bytea" NOT NULL,
	"scopes" text[] NOT NULL,
	"limits" jsonb,
	"reveal_default" boolean DEFAULT false NOT NULL,
	"expires_at" timestamp (6) with time zone,
	"created_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"created_by" text NOT NULL,
	"last_used_at" timestamp (6) with time zone,
	"revoked_at" timestamp (6) with time zone,
	"revision" integer DEFAULT 1 NOT NULL,
	CONSTRAINT "token_hash_unique" UNIQUE("hash")
);
--> statement-breakpoint
ALTER TABLE "branchline"."binding" ADD CONSTRAINT "binding_rule_id_rule_id_fk" FOREIGN KEY ("rule_id") REFERENCES "branchline"."rule"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."binding" ADD CONSTRAINT "binding_branch_id_branch_id_fk" FOREIGN KEY ("branch_id") REFERENCES "branchline"."branch"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."binding" ADD CONSTRAINT "binding_place_id_place_id_fk" FOREIGN KEY ("place_id") REFERENCES "branchline"."place"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."branch" ADD CONSTRAINT "branch_source_id_source_id_fk" FOREIGN KEY ("source_id") REFERENCES "branchline"."source"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."event" ADD CONSTRAINT "event_source_id_source_id_fk" FOREIGN KEY ("source_id") REFERENCES "branchline"."source"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."event" ADD CONSTRAINT "event_branch_id_branch_id_fk" FOREIGN KEY ("branch_id") REFERENCES "branchline"."branch"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."ledger" ADD CONSTRAINT "ledger_place_id_place_id_fk" FOREIGN KEY ("place_id") REFERENCES "branchline"."place"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."ledger" ADD CONSTRAINT "ledger_binding_id_binding_id_fk" FOREIGN KEY ("binding_id") REFERENCES "branchline"."binding"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."ledger" ADD CONSTRAINT "ledger_login_id_login_id_fk" FOREIGN KEY ("login_id") REFERENCES "branchline"."login"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."login" ADD CONSTRAINT "login_branch_id_branch_id_fk" FOREIGN KEY ("branch_id") REFERENCES "branchline"."branch"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."place" ADD CONSTRAINT "place_destination_id_destination_id_fk" FOREIGN KEY ("destination_id") REFERENCES "branchline"."destination"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."push" ADD CONSTRAINT "push_place_id_place_id_fk" FOREIGN KEY ("place_id") REFERENCES "branchline"."place"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."rule" ADD CONSTRAINT "rule_source_id_source_id_fk" FOREIGN KEY ("source_id") REFERENCES "branchline"."source"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "branchline"."rule" ADD CONSTRAINT "rule_destination_id_destination_id_fk" FOREIGN KEY ("destination_id") REFERENCES "branchline"."destination"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_at" ON "branchline"."audit" USING btree ("at");--> statement-breakpoint
CREATE INDEX "audit_object" ON "branchline"."audit" USING btree ("object");--> statement-breakpoint
CREATE UNIQUE INDEX "binding_identity" ON "branchline"."binding" USING btree ("rule_id","branch_id");--> statement-breakpoint
CREATE INDEX "binding_place" ON "branchline"."binding" USING btree ("place_id");--> statement-breakpoint
CREATE INDEX "binding_branch" ON "branchline"."binding" USING btree ("branch_id");--> statement-breakpoint
CREATE INDEX "binding_since" ON "branchline"."binding" USING btree ("since");--> statement-breakpoint
CREATE INDEX "branch_source" ON "branchline"."branch" USING btree ("source_id") WHERE gone_at is null;--> statement-breakpoint
CREATE INDEX "branch_due" ON "branchline"."branch" USING btree ("due_at") WHERE due_at is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "destination_name" ON "branchline"."destination" USING btree ("name") WHERE removed_at is null;--> statement-breakpoint
CREATE UNIQUE INDEX "event_delivery" ON "branchline"."event" USING btree ("origin","delivery_id","source_id") WHERE delivery_id is not null;--> statement-breakpoint
CREATE INDEX "event_pending" ON "branchline"."event" USING btree ("source_id") WHERE outcome = 'pending';--> statement-breakpoint
CREATE INDEX "event_received" ON "branchline"."event" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "ledger_binding" ON "branchline"."ledger" USING btree ("binding_id");--> statement-breakpoint
CREATE UNIQUE INDEX "login_identity" ON "branchline"."login" USING btree ("branch_id","role","database");--> statement-breakpoint
CREATE INDEX "login_password" ON "branchline"."login" USING btree ("password_fingerprint");--> statement-breakpoint
CREATE UNIQUE INDEX "place_key" ON "branchline"."place" USING btree ("destination_id","key");--> statement-breakpoint
CREATE INDEX "place_due" ON "branchline"."place" USING btree ("due_at") WHERE due_at is not null;--> statement-breakpoint
CREATE INDEX "place_busy" ON "branchline"."place" USING btree ("destination_id") WHERE lease_until is not null or queued_until is not null;--> statement-breakpoint
CREATE INDEX "place_sweep" ON "branchline"."place" USING btree ("sweep_at");--> statement-breakpoint
CREATE INDEX "push_place" ON "branchline"."push" USING btree ("place_id","started_at");--> statement-breakpoint
CREATE INDEX "push_started" ON "branchline"."push" USING btree ("started_at","id");--> statement-breakpoint
CREATE INDEX "push_bindings" ON "branchline"."push" USING gin ("bindings");--> statement-breakpoint
CREATE INDEX "repeat_began" ON "branchline"."repeat" USING btree ("began_at");--> statement-breakpoint
CREATE UNIQUE INDEX "rule_name" ON "branchline"."rule" USING btree ("name") WHERE orphaned_at is null;--> statement-breakpoint
CREATE INDEX "rule_source" ON "branchline"."rule" USING btree ("source_id");--> statement-breakpoint
CREATE UNIQUE INDEX "source_name" ON "branchline"."source" USING btree ("name") WHERE removed_at is null;--> statement-breakpoint
CREATE INDEX "source_due" ON "branchline"."source" USING btree ("due_at") WHERE due_at is not null;--> statement-breakpoint
CREATE INDEX "token_name" ON "branchline"."token" USING btree ("name");