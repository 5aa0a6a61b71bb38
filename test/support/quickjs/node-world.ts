/** Settings of the Node run that are the same as on QuickJS (world.ts). */
process.env['COLDSEAL_PROPERTY_RUNS'] = '10';
