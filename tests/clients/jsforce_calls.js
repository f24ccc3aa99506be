// jsforce, unmodified: one exercise of the vendor's APIs, named by the first argument, at the base URL of the second.
// What it saw is printed as one line of JSON. Tokens and passwords come from the environment and are never printed.
'use strict';

const jsforce = require('jsforce');

const [, , exercise, server] = process.argv;
const { SF_USERNAME, SF_PASSWORD, SF_SECURITY_TOKEN, SF_CLIENT_ID, SF_CLIENT_SECRET } = process.env;
const VERSION = '62.0';

function bySoap() {
  return new jsforce.Connection({ loginUrl: server, version: VERSION });
}

function byOAuth() {
  const oauth2 = { loginUrl: server, clientId: SF_CLIENT_ID, clientSecret: SF_CLIENT_SECRET };
  return new jsforce.Connection({ loginUrl: server, version: VERSION, oauth2 });
}

async function loggedIn(connection = bySoap()) {
  await connection.login(SF_USERNAME, SF_PASSWORD + (connection.oauth2.clientId ? '' : SF_SECURITY_TOKEN));
  return connection;
}

async function names(connection) {
  const query = connection.query('SELECT Id, Name FROM Contact');
  return (await query.execute({ autoFetch: true, maxFetch: 1000 })).records.map((record) => record.Name);
}

const exercises = {
  async logins() {
    const soap = await loggedIn();
    const oauth = await loggedIn(byOAuth());
    const identity = await oauth.identity();
    return {
      instance: [soap.instanceUrl, oauth.instanceUrl],
      names: [(await names(soap)).length, (await names(oauth)).length],
      user: identity.username,
      limit: oauth.limitInfo.apiUsage.limit,
    };
  },

  async records() {
    const connection = await loggedIn();
    const contact = connection.sobject('Contact');
    const made = await contact.create({ LastName: 'One', Email: 'one@example.com' });
    await contact.update({ Id: made.id, FirstName: 'A' });
    const upserted = await contact.upsert({ Email: 'one@example.com', FirstName: 'B' }, 'Email');
    const read = await contact.retrieve(made.id);
    const found = await contact.find({ LastName: 'One' }, 'Id, Name');
    const many = await contact.create([{ LastName: 'Two' }, { FirstName: 'none' }]);
    const fields = (await contact.describe()).fields.map((field) => field.name);
    await contact.destroy([made.id, many[0].id]);
    const gone = await contact.retrieve(made.id).catch((error) => error.errorCode);
    return { upserted: upserted.success, read: read.Name, found: found.length, many: many.map((one) => one.success), fields, gone };
  },

  async bulk() {
    const connection = await loggedIn();
    connection.bulk.pollInterval = 10;
    const made = await connection.bulk.load('Contact', 'insert', [
      { LastName: 'One', FirstName: 'A' },
      { LastName: '', FirstName: 'none' },
    ]);
    const rows = await (await connection.bulk.query("SELECT Id, Name FROM Contact WHERE LastName = 'One'")).toArray();
    const deleted = await connection.bulk.load('Contact', 'delete', [{ Id: made[0].id }]);
    return { made: made.map((one) => one.success), rows: rows.map((row) => row.Name), deleted: deleted[0].success };
  },

  async bulk2() {
    const connection = await loggedIn();
    connection.bulk2.pollInterval = 10;
    const input = [{ LastName: 'One' }, { LastName: 'Two' }];
    const made = await connection.bulk2.loadAndWaitForResults({ object: 'Contact', operation: 'insert', input });
    const rows = await (await connection.bulk2.query('SELECT Id, Name FROM Contact')).toArray();
    return {
      made: made.successfulResults.length,
      failed: made.failedResults.length,
      left: made.unprocessedRecords.length,
      rows: rows.length,
    };
  },

  async metadata() {
    const connection = await loggedIn();
    const described = await connection.metadata.describe(VERSION);
    const listed = await connection.metadata.list([{ type: 'CustomObject' }], VERSION);
    const read = await connection.metadata.read('CustomObject', ['Contact']);
    const user = await connection.soap.getUserInfo();
    return {
      described: described.metadataObjects.map((one) => one.xmlName),
      listed: listed.map((one) => one.fullName),
      read: read.map((one) => one.fullName),
      user: user.userName,
    };
  },

  // Every session is ended before each call: the client has to find out and log in again, in each API.
  async expiry() {
    const connection = await loggedIn();
    connection.bulk.pollInterval = 10;
    connection.bulk2.pollInterval = 10;
    const end = () => fetch(`${server}/_simulator/end-sessions`, { method: 'POST' });
    await end();
    const rest = (await names(connection)).length;
    await end();
    const bulk = (await (await connection.bulk.query('SELECT Id FROM Contact')).toArray()).length;
    await end();
    const bulk2 = (await (await connection.bulk2.query('SELECT Id FROM Contact')).toArray()).length;
    await end();
    const soap = (await connection.metadata.describe(VERSION)).metadataObjects.length;
    return { rest, bulk, bulk2, soap };
  },
};

exercises[exercise]().then(
  (seen) => console.log(JSON.stringify(seen)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
