CREATE FUNCTION "branchline"."refuse_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log only grows' USING ERRCODE = 'restrict_violation';
END
$$;
--> statement-breakpoint
CREATE TRIGGER "audit_rows_stay" BEFORE UPDATE OR DELETE ON "branchline"."audit"
  FOR EACH ROW EXECUTE FUNCTION "branchline"."refuse_change"();
--> statement-breakpoint
CREATE TRIGGER "audit_stays" BEFORE TRUNCATE ON "branchline"."audit"
  FOR EACH STATEMENT EXECUTE FUNCTION "branchline"."refuse_change"();
