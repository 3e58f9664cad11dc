-- oldest reader: 1
-- Everything is in this schema. Who may do what is granted by the operator (docs/operations.md).

COMMENT ON SCHEMA pullgate IS 'pullgate: licenses, who publishes them, and what was published';

-- Types. They refuse what no license file could say; what only documents together can get wrong is
-- found when pullgate reads them, and then the last good state stays in use.

CREATE DOMAIN pullgate.id AS text COLLATE "C"
  CONSTRAINT is_an_id CHECK (VALUE ~ '^[a-z0-9][a-z0-9._-]{0,62}$' AND VALUE NOT IN ('key', 'anonymous', 'jwt', 'mtls'));
COMMENT ON DOMAIN pullgate.id IS '1 to 63 of a-z 0-9 . _ -, beginning with a letter or a digit; not key, anonymous, jwt, mtls';

CREATE DOMAIN pullgate.line AS text COLLATE "C"
  CONSTRAINT is_one_line CHECK (VALUE <> '' AND position(chr(10) IN VALUE) = 0 AND position(chr(13) IN VALUE) = 0);
COMMENT ON DOMAIN pullgate.line IS 'one line of text, not empty';

CREATE DOMAIN pullgate.moment AS text COLLATE "C"
  CONSTRAINT is_a_date_or_an_instant_with_an_offset CHECK (
    CASE WHEN VALUE IS NULL THEN true WHEN VALUE ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?$'
    THEN left(VALUE, 10)::date IS NOT NULL ELSE false END);
COMMENT ON DOMAIN pullgate.moment IS 'a date (2026-12-31, a whole day of the zone) or an instant (2026-12-31T12:00:00Z)';

CREATE DOMAIN pullgate.period AS text COLLATE "C"
  CONSTRAINT is_a_period CHECK (VALUE ~ '^P([0-9]+Y)?([0-9]+M)?([0-9]+W)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+S)?)?$' AND VALUE !~ '[PT]$');
COMMENT ON DOMAIN pullgate.period IS 'an ISO 8601 period: P1Y, P3M, P2W, P30D, PT24H';

CREATE DOMAIN pullgate.key_hash AS text COLLATE "C"
  CONSTRAINT is_sha256_and_64_hexadecimal_digits CHECK (VALUE ~ '^sha256:[0-9a-f]{64}$');
COMMENT ON DOMAIN pullgate.key_hash IS 'what pullgate key new and key hash print; never the key itself';

CREATE DOMAIN pullgate.list AS jsonb CONSTRAINT is_a_list CHECK (jsonb_typeof(VALUE) = 'array');
CREATE DOMAIN pullgate.object AS jsonb CONSTRAINT is_an_object CHECK (jsonb_typeof(VALUE) = 'object');

-- The revision.

CREATE TABLE pullgate.revision (
  one      boolean PRIMARY KEY DEFAULT true CHECK (one),
  revision bigint NOT NULL DEFAULT 1,
  writer   xid8 NOT NULL DEFAULT '0',
  horizon  bigint NOT NULL DEFAULT 1,
  lineage  uuid NOT NULL DEFAULT gen_random_uuid()
);
COMMENT ON TABLE pullgate.revision IS 'One row: the number of the last change. Triggers count; do not edit.';
COMMENT ON COLUMN pullgate.revision.revision IS 'grows with every transaction that changes licenses, in the order of their commits';
COMMENT ON COLUMN pullgate.revision.writer IS 'the transaction that counted last';
COMMENT ON COLUMN pullgate.revision.horizon IS 'a reader whose revision is lower reads everything again';
COMMENT ON COLUMN pullgate.revision.lineage IS 'made with the schema';
INSERT INTO pullgate.revision DEFAULT VALUES;

CREATE TABLE pullgate.deletions (
  kind text COLLATE "C" NOT NULL,
  id   text COLLATE "C" NOT NULL,
  rev  bigint NOT NULL,
  at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kind, id)
);
CREATE INDEX ON pullgate.deletions (rev);
CREATE INDEX ON pullgate.deletions (at);
COMMENT ON TABLE pullgate.deletions IS 'Ids that rows no longer have (of keys: their customer), for readers, for 30 days. Triggers write it; do not edit.';

-- count gives a transaction its revision, once. The row it changes stays locked until the
-- transaction ends: whoever writes next waits, so that revisions become visible in their order. A
-- row that was restored from another database can name this transaction by chance, but was not
-- written by it.
CREATE FUNCTION pullgate.count() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE n bigint;
BEGIN
  UPDATE pullgate.revision SET revision = revision + 1, writer = pg_current_xact_id()
    WHERE writer <> pg_current_xact_id() OR xmin <> pg_current_xact_id()::xid
    RETURNING revision INTO n;
  IF FOUND THEN
    PERFORM pg_notify('pullgate', n::text);
  ELSE
    SELECT revision INTO n FROM pullgate.revision;
  END IF;
  RETURN n;
END $$;

-- Before every statement, also one that finds no row: before any row is locked, so that two writers
-- cannot wait for each other.
CREATE FUNCTION pullgate.before_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pullgate.count();
  RETURN NULL;
END $$;

CREATE FUNCTION pullgate.gone(kind text, id text, rev bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO pullgate.deletions AS d (kind, id, rev) VALUES ($1, $2, $3)
    ON CONFLICT (kind, id) DO UPDATE SET rev = excluded.rev, at = excluded.at
$$;

-- On every row that is written: its revision, and the id that it had.
CREATE FUNCTION pullgate.on_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  SELECT revision INTO NEW.rev FROM pullgate.revision;
  IF TG_OP = 'UPDATE' THEN
    IF TG_TABLE_NAME = 'keys' THEN
      IF OLD.customer <> NEW.customer THEN
        PERFORM pullgate.gone('keys', OLD.customer, NEW.rev);
      END IF;
    ELSIF OLD.id <> NEW.id THEN
      PERFORM pullgate.gone(TG_TABLE_NAME, OLD.id, NEW.rev);
    END IF;
  END IF;
  RETURN NEW;
END $$;

-- After rows were deleted: their ids. Readers that were away for a month read everything again.
CREATE FUNCTION pullgate.after_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE n bigint;
BEGIN
  SELECT revision INTO n FROM pullgate.revision;
  IF TG_TABLE_NAME = 'keys' THEN
    PERFORM pullgate.gone('keys', d.customer, n) FROM (SELECT DISTINCT customer FROM deleted) d;
  ELSE
    PERFORM pullgate.gone(TG_TABLE_NAME, d.id, n) FROM deleted d;
  END IF;
  WITH old AS (DELETE FROM pullgate.deletions WHERE at < now() - interval '30 days' RETURNING rev)
    UPDATE pullgate.revision SET horizon = greatest(horizon, (SELECT max(rev) FROM old)) WHERE EXISTS (SELECT FROM old);
  RETURN NULL;
END $$;

-- reread makes every reader read everything again, after what triggers could not see: a load with
-- triggers disabled.
CREATE FUNCTION pullgate.reread() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE n bigint := pullgate.count();
BEGIN
  UPDATE pullgate.revision SET horizon = n;
  DELETE FROM pullgate.deletions;
  RETURN n;
END $$;
COMMENT ON FUNCTION pullgate.reread() IS 'Makes every reader read everything again. Needed only after a load with triggers disabled.';

CREATE FUNCTION pullgate.before_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pullgate.reread();
  RETURN NULL;
END $$;

-- The license model. A column that is null is a field that is left out.

CREATE TABLE pullgate.registries (
  id              pullgate.id PRIMARY KEY,
  hosts           pullgate.list NOT NULL,
  upstream        pullgate.line NOT NULL,
  history         pullgate.period,
  catalog         text CHECK (catalog IN ('off', 'listed')),
  revoked_digests pullgate.list,
  rev             bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE pullgate.registries IS 'Registries behind the host names that customers use (kind: Registry)';
COMMENT ON COLUMN pullgate.registries.hosts IS '["registry.acme.example"]';
COMMENT ON COLUMN pullgate.registries.upstream IS 'where pullgate reads the registry: https://harbor.internal';
COMMENT ON COLUMN pullgate.registries.history IS 'how long a digest that left its tag stays reachable; null: P400D';
COMMENT ON COLUMN pullgate.registries.catalog IS 'whether /v2/_catalog is answered; null: off';
COMMENT ON COLUMN pullgate.registries.revoked_digests IS '[{"repository": "acme/app", "digest": "sha256:…", "at": "2026-03-01"}]';

CREATE TABLE pullgate.products (
  id           pullgate.id PRIMARY KEY,
  name         pullgate.line,
  registry     pullgate.id REFERENCES pullgate.registries ON UPDATE CASCADE,
  repositories pullgate.list,
  variants     pullgate.list,
  requires     pullgate.list,
  rev          bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE pullgate.products IS 'What is sold by version (kind: Product)';
COMMENT ON COLUMN pullgate.products.registry IS 'null: the only one';
COMMENT ON COLUMN pullgate.products.repositories IS '["acme/app", {"name": "acme/charts/app", "type": "chart"}]';
COMMENT ON COLUMN pullgate.products.variants IS 'tag patterns of builds of the same version: ["alpine*"]';
COMMENT ON COLUMN pullgate.products.requires IS 'features that a license must hold: ["sso"]';

CREATE TABLE pullgate.releases (
  id               pullgate.id PRIMARY KEY,
  product          pullgate.id NOT NULL REFERENCES pullgate.products ON UPDATE CASCADE,
  version          pullgate.line NOT NULL,
  released         pullgate.moment,
  counts_from      pullgate.moment,
  channel          text CHECK (channel ~ '^[a-z][a-z0-9-]*$'),
  withdrawn_at     pullgate.moment,
  withdrawn_reason pullgate.line,
  withdrawn_except pullgate.list,
  requires         pullgate.list,
  rev              bigint NOT NULL DEFAULT 0,
  UNIQUE (product, version),
  CONSTRAINT withdrawn_has_a_date CHECK (withdrawn_at IS NOT NULL OR num_nonnulls(withdrawn_reason, withdrawn_except) = 0)
);
COMMENT ON TABLE pullgate.releases IS 'Facts about one version, where they differ from what the registry says (kind: Release)';
COMMENT ON COLUMN pullgate.releases.released IS 'before it nobody gets the version';
COMMENT ON COLUMN pullgate.releases.counts_from IS 'the date that counts for update windows; null: released';
COMMENT ON COLUMN pullgate.releases.channel IS 'null: from the version';
COMMENT ON COLUMN pullgate.releases.withdrawn_at IS 'from then on nobody gets it';
COMMENT ON COLUMN pullgate.releases.withdrawn_except IS 'customers who still get it: ["acme"]';

CREATE TABLE pullgate.plans (
  id               pullgate.id PRIMARY KEY,
  type             text CHECK (type IN ('perpetual', 'subscription', 'trial')),
  zone             pullgate.line,
  starts           pullgate.moment,
  ends             text COLLATE "C" CHECK (ends = 'never' OR ends::pullgate.moment IS NOT NULL),
  term             pullgate.period,
  aligned          text COLLATE "C" CHECK (aligned ~ '^(calendar-year|[0-9]{2}-[0-9]{2})$'),
  minimum_term     pullgate.period,
  renews_every     pullgate.period,
  renews_notice    pullgate.period,
  renews_cancelled pullgate.moment,
  grace            pullgate.period,
  updates          text COLLATE "C" CHECK (CASE WHEN updates IS NULL OR updates IN ('with-term', 'forever') THEN true WHEN updates ~ '^P' THEN updates::pullgate.period IS NOT NULL ELSE updates::pullgate.moment IS NOT NULL END),
  terminates       text COLLATE "C" CHECK (CASE WHEN terminates IS NULL THEN true WHEN terminates ~ '^P' THEN terminates::pullgate.period IS NOT NULL ELSE terminates::pullgate.moment IS NOT NULL END),
  keep_versions    boolean,
  enforcement      text CHECK (enforcement IN ('enforce', 'warn', 'observe')),
  grants           pullgate.list,
  features         pullgate.object,
  rev              bigint NOT NULL DEFAULT 0,
  CONSTRAINT ends_in_one_way CHECK (num_nonnulls(ends, term, aligned) <= 1)
);
COMMENT ON TABLE pullgate.plans IS 'Templates for licenses (kind: Plan); the columns are those of licenses';

CREATE TABLE pullgate.customers (
  id         pullgate.id PRIMARY KEY,
  name       pullgate.line,
  zone       pullgate.line,
  status     text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'banned')),
  labels     pullgate.object,
  identities pullgate.list,
  rev        bigint NOT NULL DEFAULT 0
);
CREATE INDEX ON pullgate.customers (rev);
COMMENT ON TABLE pullgate.customers IS 'Who may hold licenses (kind: Customer)';
COMMENT ON COLUMN pullgate.customers.name IS 'for people; null: the id';
COMMENT ON COLUMN pullgate.customers.zone IS 'IANA zone of the customer''s dates: Europe/Berlin; null: UTC';
COMMENT ON COLUMN pullgate.customers.status IS 'active or banned';
COMMENT ON COLUMN pullgate.customers.labels IS 'free data for rules: {"region": "eu"}';
COMMENT ON COLUMN pullgate.customers.identities IS '[{"jwt": {"issuer": "https://idp.acme.example", "subject": "ci"}}, {"mtls": {"san": "spiffe://acme/ci"}}]';

CREATE TABLE pullgate.keys (
  customer     pullgate.id NOT NULL REFERENCES pullgate.customers ON UPDATE CASCADE ON DELETE CASCADE,
  id           text COLLATE "C" NOT NULL CHECK (id ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  hash         pullgate.key_hash NOT NULL UNIQUE,
  expires      pullgate.moment,
  repositories pullgate.list,
  addresses    pullgate.list,
  rev          bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (customer, id)
);
CREATE INDEX ON pullgate.keys (rev);
COMMENT ON TABLE pullgate.keys IS 'Credentials of customers. Only their hashes: pullgate key new prints a key and its hash';
COMMENT ON COLUMN pullgate.keys.id IS 'the key''s name, unique per customer';
COMMENT ON COLUMN pullgate.keys.expires IS 'its last day, or the instant of its end; null: never';
COMMENT ON COLUMN pullgate.keys.repositories IS 'patterns that narrow it: ["acme/app"]; null: all that its customer has';
COMMENT ON COLUMN pullgate.keys.addresses IS 'networks that it may come from: ["10.0.0.0/8"]; null: any';

CREATE TABLE pullgate.licenses (
  id                      pullgate.id PRIMARY KEY,
  customer                pullgate.id NOT NULL REFERENCES pullgate.customers ON UPDATE CASCADE,
  plan                    pullgate.id REFERENCES pullgate.plans ON UPDATE CASCADE,
  type                    text CHECK (type IN ('perpetual', 'subscription', 'trial')),
  zone                    pullgate.line,
  starts                  pullgate.moment,
  ends                    text COLLATE "C" CHECK (ends = 'never' OR ends::pullgate.moment IS NOT NULL),
  term                    pullgate.period,
  aligned                 text COLLATE "C" CHECK (aligned ~ '^(calendar-year|[0-9]{2}-[0-9]{2})$'),
  minimum_term            pullgate.period,
  renews_every            pullgate.period,
  renews_notice           pullgate.period,
  renews_cancelled        pullgate.moment,
  grace                   pullgate.period,
  updates                 text COLLATE "C" CHECK (CASE WHEN updates IS NULL OR updates IN ('with-term', 'forever') THEN true WHEN updates ~ '^P' THEN updates::pullgate.period IS NOT NULL ELSE updates::pullgate.moment IS NOT NULL END),
  terminates              text COLLATE "C" CHECK (CASE WHEN terminates IS NULL THEN true WHEN terminates ~ '^P' THEN terminates::pullgate.period IS NOT NULL ELSE terminates::pullgate.moment IS NOT NULL END),
  keep_versions           boolean,
  enforcement             text CHECK (enforcement IN ('enforce', 'warn', 'observe')),
  grants                  pullgate.list,
  features                pullgate.object,
  suspended_at            pullgate.moment,
  suspended_until         pullgate.moment,
  suspended_reason        pullgate.line,
  suspended_public_reason pullgate.line,
  revoked_at              pullgate.moment,
  revoked_reason          pullgate.line,
  revoked_public_reason   pullgate.line,
  replaces                pullgate.id REFERENCES pullgate.licenses ON UPDATE CASCADE DEFERRABLE,
  rev                     bigint NOT NULL DEFAULT 0,
  CONSTRAINT has_a_type CHECK (type IS NOT NULL OR plan IS NOT NULL),
  CONSTRAINT has_grants CHECK (grants IS NOT NULL OR plan IS NOT NULL),
  CONSTRAINT has_an_end CHECK (num_nonnulls(ends, term, aligned) = 1 OR plan IS NOT NULL),
  CONSTRAINT ends_in_one_way CHECK (num_nonnulls(ends, term, aligned) <= 1),
  CONSTRAINT suspended_or_revoked CHECK (suspended_at IS NULL OR revoked_at IS NULL),
  CONSTRAINT suspended_has_a_date CHECK (suspended_at IS NOT NULL OR num_nonnulls(suspended_until, suspended_reason, suspended_public_reason) = 0),
  CONSTRAINT revoked_has_a_date CHECK (revoked_at IS NOT NULL OR num_nonnulls(revoked_reason, revoked_public_reason) = 0),
  CONSTRAINT replaces_another CHECK (replaces <> id)
);
CREATE INDEX ON pullgate.licenses (rev);
CREATE INDEX ON pullgate.licenses (customer);
CREATE INDEX ON pullgate.licenses (plan);
CREATE INDEX ON pullgate.licenses (replaces);
COMMENT ON TABLE pullgate.licenses IS 'What a customer may have, and until when (kind: License)';
COMMENT ON COLUMN pullgate.licenses.plan IS 'its columns count where these are null';
COMMENT ON COLUMN pullgate.licenses.type IS 'perpetual, subscription or trial';
COMMENT ON COLUMN pullgate.licenses.zone IS 'IANA zone of the dates; null: the customer''s';
COMMENT ON COLUMN pullgate.licenses.starts IS 'null: always';
COMMENT ON COLUMN pullgate.licenses.ends IS 'the last day, or the instant of the end; never on a perpetual license. One of ends, term, aligned';
COMMENT ON COLUMN pullgate.licenses.term IS 'how long from starts: P1Y';
COMMENT ON COLUMN pullgate.licenses.aligned IS 'calendar-year, or the last day of the fiscal year: 06-30';
COMMENT ON COLUMN pullgate.licenses.renews_cancelled IS 'an instant';
COMMENT ON COLUMN pullgate.licenses.updates IS 'with-term, forever, a date or instant until which, or a period from starts';
COMMENT ON COLUMN pullgate.licenses.terminates IS 'the hard stop: a period after the end, or a date or instant';
COMMENT ON COLUMN pullgate.licenses.enforcement IS 'enforce, warn or observe; null: the plan''s, else enforce';
COMMENT ON COLUMN pullgate.licenses.grants IS '[{"product": "app", "versions": ">=1.0.0 <2.0.0"}, {"repository": "acme/tools/*", "tags": "all"}]';
COMMENT ON COLUMN pullgate.licenses.features IS '{"sso": true, "nodes": 10}';
COMMENT ON COLUMN pullgate.licenses.suspended_at IS 'paused from then on, until suspended_until; null: not suspended';
COMMENT ON COLUMN pullgate.licenses.suspended_reason IS 'for your records';
COMMENT ON COLUMN pullgate.licenses.suspended_public_reason IS 'shown to the customer';
COMMENT ON COLUMN pullgate.licenses.revoked_at IS 'taken back from then on; null: not revoked';
COMMENT ON COLUMN pullgate.licenses.revoked_reason IS 'for your records';
COMMENT ON COLUMN pullgate.licenses.revoked_public_reason IS 'shown to the customer';
COMMENT ON COLUMN pullgate.licenses.replaces IS 'a license of the same customer that counts no more once this one starts';

CREATE TABLE pullgate.public (
  id           pullgate.id PRIMARY KEY,
  repositories pullgate.list NOT NULL,
  tags         jsonb NOT NULL CHECK (tags = '"all"' OR jsonb_typeof(tags) = 'array'),
  rev          bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE pullgate.public IS 'Repositories that are open to anyone (kind: Public)';
COMMENT ON COLUMN pullgate.public.repositories IS 'patterns: ["acme/docs/**"]';
COMMENT ON COLUMN pullgate.public.tags IS '"all", or patterns: ["latest", "1.*"]';

CREATE TABLE pullgate.rules (
  id   text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}[.]rego$'),
  text text NOT NULL CHECK (octet_length(text) BETWEEN 1 AND 8388608),
  rev  bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE pullgate.rules IS 'The vendor''s rules, and their tests (*_test.rego), which pullgate only keeps';
COMMENT ON COLUMN pullgate.rules.id IS 'the file''s name: region.rego';
COMMENT ON COLUMN pullgate.rules.text IS 'Rego';

DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['registries', 'products', 'releases', 'plans', 'customers', 'keys', 'licenses', 'public', 'rules'] LOOP
    EXECUTE format('COMMENT ON COLUMN pullgate.%I.rev IS %L', name, 'the revision of its last change; a trigger sets it');
    EXECUTE format('CREATE TRIGGER before_change BEFORE INSERT OR UPDATE OR DELETE ON pullgate.%I FOR EACH STATEMENT EXECUTE FUNCTION pullgate.before_change()', name);
    EXECUTE format('CREATE TRIGGER before_truncate BEFORE TRUNCATE ON pullgate.%I FOR EACH STATEMENT EXECUTE FUNCTION pullgate.before_truncate()', name);
    EXECUTE format('CREATE TRIGGER on_row BEFORE INSERT OR UPDATE ON pullgate.%I FOR EACH ROW EXECUTE FUNCTION pullgate.on_row()', name);
    EXECUTE format('CREATE TRIGGER after_delete AFTER DELETE ON pullgate.%I REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION pullgate.after_delete()', name);
  END LOOP;
END $$;

-- Who publishes, and what was.

CREATE TABLE pullgate.leaders (
  name   pullgate.line PRIMARY KEY,
  fence  bigint NOT NULL CHECK (fence > 0),
  holder text NOT NULL,
  since  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE pullgate.leaders IS 'The publisher that was elected last. Publishers write it; do not edit.';
COMMENT ON COLUMN pullgate.leaders.fence IS 'grows with every election; who has a lower one cannot publish';

CREATE TABLE pullgate.publications (
  name         pullgate.line,
  serial       bigint CHECK (serial > 0),
  revision     text COLLATE "C" CHECK (revision ~ '^[0-9a-f]{64}$'),
  fence        bigint NOT NULL,
  reserved_at  timestamptz NOT NULL DEFAULT now(),
  published_at timestamptz,
  PRIMARY KEY (name, serial)
);
COMMENT ON TABLE pullgate.publications IS 'Serials of bundles: the highest of each name must stay, older ones may be deleted';
COMMENT ON COLUMN pullgate.publications.name IS 'of the bundle';
COMMENT ON COLUMN pullgate.publications.revision IS 'of its content; null: reserved and never published';
COMMENT ON COLUMN pullgate.publications.fence IS 'of the publisher that reserved it';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pullgate FROM PUBLIC;
