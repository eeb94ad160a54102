//! Articles written for these tests. Places, people and events are invented.

/// Politics and trade.
pub const TARIFF_TITLE: &str = "Norland Raises Tariffs on Valdian Steel as Talks Collapse";

pub const TARIFF_BODY: &str = "\
PORT HARREN - The government of Norland said on Tuesday it would raise import tariffs on Valdian \
steel to 35 percent after a third round of trade talks ended without agreement.

Prime Minister Ilse Brandvold told parliament that Valdia had flooded the market with subsidised \
steel and left her cabinet no choice. \"We have negotiated in good faith for eleven months,\" she \
said. \"Our mills cannot wait for a twelfth.\"

The new duties take effect on March 1 and cover hot-rolled coil, plate and wire rod, goods worth \
about 2.4 billion crowns a year. Valdia's trade minister, Oren Castellan, called the decision a \
breach of the customs treaty both countries signed in 2009 and said his government would bring a \
complaint to the World Trade Organization.

Exporters on both sides of the border warned that retaliation could follow within weeks. Norland \
sells Valdia grain and machine parts worth almost twice as much as the steel it buys. \"Nobody \
wins this,\" said Greta Holm of the Chamber of Commerce in Port Harren. \"The farmers will pay for \
the mills.\"

The opposition Centre Party, which is level with the government in the polls ahead of May's \
election, said it would vote against the measure but stopped short of promising to repeal it.";

/// Conflict.
pub const SHELLING_TITLE: &str = "Shelling Kills Nine in Besieged Town of Tamrat";

pub const SHELLING_BODY: &str = "\
Rebel artillery struck the besieged town of Tamrat before dawn on Friday, killing at least nine \
people and wounding more than thirty, according to the regional hospital.

Soldiers of the Second Army said the shells were fired from the hills east of the river, where \
fighters of the Northern Front have dug in since the ceasefire broke down in October. The army \
answered with rocket fire and air strikes on what it described as ammunition dumps.

Residents spent the day in cellars. \"The windows went first, then the roof of the bakery,\" said \
Salma Idriss, who sheltered with her four children beneath a school. An aid convoy that was to \
reach the town by noon turned back at the last checkpoint because of mortar fire on the road.

It was the deadliest bombardment since the front line moved to the edge of the town three months \
ago. Both sides have accused each other of using the pause in fighting to bring up heavy weapons. \
Mediators said a new round of ceasefire talks planned for next week was now in doubt.";

/// None of the topics.
pub const REGATTA_TITLE: &str = "Lindqvist Wins Harren Regatta by a Boat's Length";

pub const REGATTA_BODY: &str = "\
Ebba Lindqvist won the Harren regatta for the second year running on Sunday, holding off a late \
charge by the Bergstad crew in gusts that capsized two boats on the final leg.

The 26-year-old led from the first mark but lost most of her advantage when a sheet jammed on the \
third downwind run. \"I thought it was gone,\" she said on the quay, still dripping. \"Then the \
breeze came round and everybody behind us had to tack.\"

Her boat crossed the line eleven seconds ahead. Bergstad, skippered by Jonas Wiik, took second \
place and Aalvik third. Organisers counted 64 entries, the most since the regatta moved to its \
summer date, and some nine thousand spectators along the harbour wall.

Lindqvist will sail next at the lake championships in August, where she has never finished better \
than fifth.";

/// What a site puts under everything.
pub const FOOTER: &str = "

Read more: Five things to know this morning
Sign up for our newsletter and get the stories that matter in your inbox every day. By signing up \
you agree to our terms of use and privacy policy. You can unsubscribe at any time.
The Harren Courier is published by Courier Media. All rights reserved. Advertise with us. Contact \
the newsroom. Cookie settings. About us. Careers.";
