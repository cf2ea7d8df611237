CREATE TABLE "branchline"."managed" (
	"one" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"file" text NOT NULL,
	"since" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"seen_at" timestamp (6) with time zone DEFAULT now() NOT NULL
);
