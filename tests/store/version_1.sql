BEGIN TRANSACTION;
CREATE TABLE alert (
    id TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    owner TEXT NOT NULL,  -- the engine that raised it
    rule TEXT NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    active_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    last_event INTEGER NOT NULL,  -- of its engine
    overruled INTEGER NOT NULL DEFAULT 0  -- resolved by hand, whatever its engine says
) WITHOUT ROWID;
INSERT INTO "alert" VALUES('09542650208357b0','abb6fc88285858a2','shop','slow','warning','firing',1750000004.0,1750000004.0,4,0);
INSERT INTO "alert" VALUES('315a97e659855ceb','f6d461fe8122bfc7','shop','slow','warning','firing',1750000001.0,1750000001.0,2,0);
INSERT INTO "alert" VALUES('ca03621cabd46f9b','cf18e2e5513210ed','shop','slow','warning','firing',1750000000.0,1750000000.0,1,0);
INSERT INTO "alert" VALUES('f6b80cc480e7ef97','38b04a2f37c36fa0','shop','slow','warning','firing',1750000002.0,1750000002.0,3,0);
CREATE TABLE dispatcher (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    leader TEXT NOT NULL,
    leads_until REAL NOT NULL,
    last_event INTEGER NOT NULL,  -- that the dispatcher has seen
    last_request INTEGER NOT NULL
);
INSERT INTO "dispatcher" VALUES(1,'shop',0.0,4,1);
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    alert_id TEXT NOT NULL,
    at REAL NOT NULL,
    previous TEXT NOT NULL,
    reason TEXT NOT NULL,
    alert TEXT NOT NULL,  -- the alert as it was then, JSON
    by_hand INTEGER NOT NULL DEFAULT 0  -- somebody has resolved it: its engine knows nothing of that
);
INSERT INTO "event" VALUES(1,'ca03621cabd46f9b',1750000000.0,'inactive','it is slow','{"id":"ca03621cabd46f9b","fingerprint":"cf18e2e5513210ed","rule":"slow","labels":[["instance","told"]],"severity":"warning","state":"firing","active_at":1750000000.0,"fired_at":1750000000.0,"resolved_at":null,"keep_since":null,"value":6.5,"threshold":5.0,"summary":"told is slow","held":"","traces":[],"pattern":"","confidence":null,"window_s":0.0,"evidence":{},"metric":"","due_at":null,"sampled_at":null,"sample_gap_s":0.0,"blind_since":null}',0);
INSERT INTO "event" VALUES(2,'315a97e659855ceb',1750000001.0,'inactive','it is slow','{"id":"315a97e659855ceb","fingerprint":"f6d461fe8122bfc7","rule":"slow","labels":[["instance","refused"]],"severity":"warning","state":"firing","active_at":1750000001.0,"fired_at":1750000001.0,"resolved_at":null,"keep_since":null,"value":6.5,"threshold":5.0,"summary":"refused is slow","held":"","traces":[],"pattern":"","confidence":null,"window_s":0.0,"evidence":{},"metric":"","due_at":null,"sampled_at":null,"sample_gap_s":0.0,"blind_since":null}',0);
INSERT INTO "event" VALUES(3,'f6b80cc480e7ef97',1750000002.0,'inactive','it is slow','{"id":"f6b80cc480e7ef97","fingerprint":"38b04a2f37c36fa0","rule":"slow","labels":[["instance","waiting"]],"severity":"warning","state":"firing","active_at":1750000002.0,"fired_at":1750000002.0,"resolved_at":null,"keep_since":null,"value":6.5,"threshold":5.0,"summary":"waiting is slow","held":"","traces":[],"pattern":"","confidence":null,"window_s":0.0,"evidence":{},"metric":"","due_at":null,"sampled_at":null,"sample_gap_s":0.0,"blind_since":null}',0);
INSERT INTO "event" VALUES(4,'09542650208357b0',1750000004.0,'inactive','it is slow','{"id":"09542650208357b0","fingerprint":"abb6fc88285858a2","rule":"slow","labels":[["instance","quiet"]],"severity":"warning","state":"firing","active_at":1750000004.0,"fired_at":1750000004.0,"resolved_at":null,"keep_since":null,"value":6.5,"threshold":5.0,"summary":"quiet is slow","held":"","traces":[],"pattern":"","confidence":null,"window_s":0.0,"evidence":{},"metric":"","due_at":null,"sampled_at":null,"sample_gap_s":0.0,"blind_since":null}',0);
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,  -- when the dispatcher saw what had happened up to there
    last_event INTEGER NOT NULL,
    last_request INTEGER NOT NULL
);
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,  -- the notification's: the same message is never queued twice
    channel TEXT NOT NULL,
    group_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'delivered', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    next_at REAL NOT NULL,
    lease_until REAL,
    leased_by TEXT,
    ended_at REAL,
    said TEXT NOT NULL DEFAULT '',  -- by the receiver, or what went wrong
    notification TEXT NOT NULL  -- JSON
);
INSERT INTO "outbox" VALUES(1,'f4455369b459d1dc8c49e5c664a47317','ops','/:{alertname="slow",instance="told",rule="slow",severity="warning"}','delivered',1,1750000000.0,1750000000.0,NULL,'shop',1.79553197411478281022e+09,'','{"channel":"ops","group_key":"/:{alertname=\"slow\",instance=\"told\",rule=\"slow\",severity=\"warning\"}","group_labels":[["alertname","slow"],["instance","told"],["rule","slow"],["severity","warning"]],"number":1,"at":1750000000.0,"reason":"first","alerts":[{"id":"ca03621cabd46f9b","fingerprint":"cf18e2e5513210ed","rule":"slow","labels":[["instance","told"]],"severity":"warning","state":"firing","active_at":1750000000.0,"fired_at":1750000000.0,"resolved_at":null,"keep_since":null,"value":6.5,"threshold":5.0,"summary":"told is slow","held":"","traces":[],"pattern":"","confidence":null,"window_s":0.0,"evidence":{},"metric":"","due_at":null,"sampled_at":null,"sample_gap_s":0.0,"blind_since":null}],"test":false}');
INSERT INTO "outbox" VALUES(2,'898f0f90d44aaceec0ae772ee788937a','ops','/:{alertname="slow",instance="refused",rule="slow",severity="warning"}','dead',1,1750000001.0,1750000001.0,NULL,'shop',1.79553197412211322783e+09,'HTTP 400','{"channel":"ops","group_key":"/:{alertname=\"slow\",instance=\"refused\",rule=\"slow\",severity=\"warning\"}","group_labels":[["alertname","slow"],["instance","refused"],["rule","slow"],["severity","warning"]],"number":1,"at":1750000001.0,"reason":"first","alerts":[{"id":"315a97e659855ceb","fingerprint":"f6d461fe8122bfc7","rule":"slow","labels":[["instance","refused"]],"severity":"warning","state":"firing","active_at":1750000001.0,"fired_at":1750000001.0,"resolved_at":null,"keep_since":null,"value":6.5,"threshold":5.0,"summary":"refused is slow","held":"","traces":[],"pattern":"","confidence":null,"window_s":0.0,"evidence":{},"metric":"","due_at":null,"sampled_at":null,"sample_gap_s":0.0,"blind_since":null}],"test":false}');
INSERT INTO "outbox" VALUES(3,'1cc5a8f00d77f325bf7e4e5937c1e975','ops','/:{alertname="slow",instance="waiting",rule="slow",severity="warning"}','queued',0,1750000002.0,1750000002.0,NULL,NULL,NULL,'','{"channel":"ops","group_key":"/:{alertname=\"slow\",instance=\"waiting\",rule=\"slow\",severity=\"warning\"}","group_labels":[["alertname","slow"],["instance","waiting"],["rule","slow"],["severity","warning"]],"number":1,"at":1750000002.0,"reason":"first","alerts":[{"id":"f6b80cc480e7ef97","fingerprint":"38b04a2f37c36fa0","rule":"slow","labels":[["instance","waiting"]],"severity":"warning","state":"firing","active_at":1750000002.0,"fired_at":1750000002.0,"resolved_at":null,"keep_since":null,"value":6.5,"threshold":5.0,"summary":"waiting is slow","held":"","traces":[],"pattern":"","confidence":null,"window_s":0.0,"evidence":{},"metric":"","due_at":null,"sampled_at":null,"sample_gap_s":0.0,"blind_since":null}],"test":false}');
CREATE TABLE owner (
    name TEXT PRIMARY KEY,
    alive_at REAL NOT NULL
) WITHOUT ROWID;
INSERT INTO "owner" VALUES('shop',1750000004.0);
CREATE TABLE request (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    body TEXT NOT NULL,  -- what somebody wants of the dispatcher: a silence, an acknowledgement; JSON
    answer TEXT  -- JSON; NULL until the dispatcher has seen it
);
INSERT INTO "request" VALUES(1,1750000003.0,'{"do":"silence","silence":{"matchers":["instance=quiet"],"starts_at":1750000000.0,"ends_at":2065360000.0,"author":"eve","comment":"known"}}','{"ok":true,"id":"3119f07cefa8208f"}');
CREATE TABLE snapshot (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    entry INTEGER NOT NULL,  -- the last one of the journal that the state contains
    last_event INTEGER NOT NULL,
    last_request INTEGER NOT NULL,
    state BLOB NOT NULL  -- of the dispatcher, JSON, packed
);
INSERT INTO "snapshot" VALUES(1,6,4,1,X'7801D558DB6EA33A14FD15E4A77324A6877B80D1F98BF3D436AA0C98C61A02193089AA28FF7ED63684849274529A97B695667C617BD96B5F96BD675B5137B22A596C9BACAC76F877E15BFAC77B40172F44AD1A163FED99CC58CC526EB98163A73CC9BC208F1266B25C96AFA2DED4B2543421B743E108DFB75DC7B6448609755B088C3405CC9BACE08928C8E2139365A378990AF4AAAAC8D87269B2460091546FF860C7EB12B6318A698A4CE412AB50074F95DC8A178E1507BCD68345606A915DE8AF455315DB7EA86C8BC264BF84D8BC3492D68FBB9E2D2F5A3482071F8056F86445A8629F0C37ED7ACD6B8245500DD918FD7E5682E630DA43CD53413BC336365C2951E3586920ADCA5C66E26CA59D2CB36AF782C91AB5D81E87F70793AD85AA65DA7D9AB5DD2E3B800D5F6F8AD126BA9E97578EADF4C69202C6CF3776307BF25CDBE7D142047E14FA7E2AA6E4E50158B57311DA8E93E4E902D86F21AF1679DB80EAAFF1675FE14FF7DF91BF1EEDF7A4300F92D04A532FB4C442E41131348E3F374C2C8F3BB9BB48DD20E7D68D14EEB854145A5FA3D0B942A1EEBF23853DDAEF49A115F99E13F8966385AEBF4888A131853C49823C0D4327F4F1CB9D1B29FCDD4AA1BE48A0778540DD7F470235D6EF451F2575516614243AC3BFD655BBE9EA183351CC74A52CF99AAA992E0D4BF34285439FCEA86773868A670E150F5138943594612F8AA2C054752B90C9270536A68103AD76138E2159CF86B2384299948B4F421992CE6C28E111CA24ED7D124A1F3CB38144D111C9247A7B24E43F103C9DF364229524BB3AFF99504AFE04D1902127439A99392F1AA1B50DBC2F36A43A45CEE026A423468D4E3130F20BEDAA5A38F596A46A0CDD69EC78634063185C198EE5F83FACE087EDFF67FBB115C49EF5C8C636AF2D50564AE632E523B88D2895A12AA3DA34D7CCC706F45AA3FEBC0A6CE89DD4622320FABAB36664F917442BB418C9B88B3BF86974DF1890A7A286C233DA52C9623437BAB85BFFB477A43F842062501F80ED7996966D1A1562F5894D22610683A4738603A6C61D18B4CF19FC6881790CDA8F5306AFAC329741FBF17606DFEF76CAE0E2C420E1240F42C52406270964068324730606A97107069D73063F5A601E83CE0506AFAC329741E7130CBEDFED94C1F0C420E13C637092786730483A6760901A7760D03B67F0A3051A59E83B629FDDFA6666246F062EC5C65F94EACABF87FCE576D9DABD98ADDFAD639B8E15F86E40177B3A35727A14A40A77ED82BFA10AED59BF1C55A4E1BA6847B9B54845CE4388D51CC266CD55BAC28B01260DB7F77F9F99AE9ECFB0AAAFEA7830B870038776EABAC74878AB56558DCB2EB68805D26ABD46DD405BEF9641D7E0B24FFFC7BDF755D018A13DA01A167C83824A6A0CC572F2EAF06499B7FDDAEE99D8A2C321CAAFE4F4DB2CC285CE6D1E53F9952C33CBE631B990CD0B7E3FCBE6D1DD974B9CAE12055E7EC82FF4CB0C9DF13FF17ED0B8E09C34EE33338F6F38E8A199E8217D7B1A3FAA5BF4F4EF39CFEC00A2299B98F629D8E8E42F89DBE3578C5E3126349F1E89300C5FB90165AF7F6703253AF7D3823F42F287E1DB80F6EA783650F291FDB4AE8D814ECADE68F836A07DF47F86F83EB1228EF5DF12515EE389AF0FED5AF00C2F6D4FCBC3E17FC7BC28A9');
CREATE INDEX event_of_alert ON event (alert_id, seq);
CREATE INDEX alert_by_state ON alert (state, updated_at);
CREATE INDEX outbox_open ON outbox (channel, seq) WHERE state IN ('queued', 'sending');
CREATE INDEX outbox_order ON outbox (channel, group_key, seq) WHERE state IN ('queued', 'sending');
CREATE INDEX outbox_ended ON outbox (state, ended_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('event',4);
INSERT INTO "sqlite_sequence" VALUES('journal',6);
INSERT INTO "sqlite_sequence" VALUES('outbox',3);
INSERT INTO "sqlite_sequence" VALUES('request',1);
COMMIT;
PRAGMA user_version = 1;
