# What Branchline may do in Vault or OpenBao. `kv` stands for a mount of the key-value engine version 2, `kv1` for
# one of version 1: keep the one that you have, and narrow the paths to where Branchline is to write.
#
# A comment "call -> capabilities" says which call of Branchline needs what stands below it. A test compares both
# with the code.

path "kv/data/*" {
  # GET {mount}/data/{path} -> read
  # POST {mount}/data/{path} -> create, update
  capabilities = ["create", "read", "update"]
}

path "kv/delete/*" {
  # POST {mount}/delete/{path} -> update
  capabilities = ["update"]
}

# GET and POST are for servers that know no PATCH (Vault before 1.9), DELETE is for `deleteForever`.
path "kv/metadata/*" {
  # PATCH {mount}/metadata/{path} -> patch
  # GET {mount}/metadata/{path} -> read
  # POST {mount}/metadata/{path} -> create, update
  # DELETE {mount}/metadata/{path} -> delete
  capabilities = ["create", "delete", "patch", "read", "update"]
}

path "kv1/*" {
  # GET {mount}/{path} -> read
  # POST {mount}/{path} -> create, update
  # DELETE {mount}/{path} -> delete
  capabilities = ["create", "delete", "read", "update"]
}

# These are in the policy `default`. They are needed here only for tokens that were made without it.
path "auth/token/lookup-self" {
  # GET auth/token/lookup-self -> read
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  # POST auth/token/renew-self -> update
  capabilities = ["update"]
}

path "sys/capabilities-self" {
  # POST sys/capabilities-self -> update
  capabilities = ["update"]
}

# Calls that need no capability: who has access to a mount may ask for its version, a login is made without a
# token, and a wrapping token brings its own right to be opened.
#
# GET sys/internal/ui/mounts/{mount} -> nothing
# POST auth/approle/login -> nothing
# POST auth/kubernetes/login -> nothing
# POST auth/jwt/login -> nothing
# POST sys/wrapping/unwrap -> nothing
